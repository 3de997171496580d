"""Links and tokens that only look alive, made anew for each test so that no file holds one."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from datetime import UTC, datetime, timedelta


def a_jwt() -> str:
    """A signed HS256 token of the form that providers put into their links."""
    expires = datetime.now(UTC) + timedelta(hours=24)
    parts = [{"alg": "HS256", "typ": "JWT"}, {"exp": int(expires.timestamp()), "id": secrets.token_hex(8)}]
    body = ".".join(_base64(json.dumps(part).encode()) for part in parts)
    signature = hmac.new(secrets.token_bytes(32), body.encode(), hashlib.sha256).digest()
    return f"{body}.{_base64(signature)}"


def a_jwt_link() -> str:
    """A video link as Runway hands it out."""
    return f"https://dnznrvs05pmza.cloudfront.net/{secrets.token_hex(8)}.mp4?_jwt={a_jwt()}"


def a_signed_link() -> str:
    """A link that dies without any JWT in it (AWS Signature Version 4)."""
    now = datetime.now(UTC)
    return (
        f"https://videos.s3.amazonaws.com/{secrets.token_hex(8)}.mp4?X-Amz-Algorithm=AWS4-HMAC-SHA256"
        f"&X-Amz-Credential=AKIA{secrets.token_hex(8).upper()}%2F{now:%Y%m%d}%2Fus-east-1%2Fs3%2Faws4_request"
        f"&X-Amz-Date={now:%Y%m%dT%H%M%SZ}&X-Amz-Expires=3600&X-Amz-SignedHeaders=host"
        f"&X-Amz-Signature={secrets.token_hex(32)}"
    )


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
