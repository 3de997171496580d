"""Links that really die: Runway's ``?_jwt=`` tokens and S3 signatures (SigV4), made and judged like real ones.

A link is judged by its own signature and time, as a CDN does, not by a list; the list kept here only counts,
and lets a person kill one link before its time.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import math
import secrets
import threading
import time
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any
from urllib.parse import parse_qsl, quote

_ACCESS_KEY_ID = "AKIAEMULATOR00000000"
_REGION = "us-east-1"
_STAGE = "prod"
_LONGEST_S3 = 604_800


class Scheme(Enum):
    """How a link is signed."""

    JWT = "jwt"
    S3 = "s3"


class Verdict(Enum):
    """What the media host thinks of a request's credential."""

    GOOD = "good"
    EXPIRED = "expired"
    FORGED = "forged"


@dataclass(slots=True)
class Link:
    """One link that was handed out."""

    scheme: Scheme
    path: str
    secret: str
    """The JWT, or the signature: what must never be seen anywhere else."""
    query: str
    issued_at: float
    expires_at: int
    """Unix seconds."""
    job_id: str
    downloads: int = 0
    killed: bool = False


class LinkOffice:
    """Issues links, judges them, remembers each secret that it handed out. Thread-safe."""

    def __init__(self) -> None:
        self._jwt_key = secrets.token_bytes(32)
        self._s3_key = secrets.token_urlsafe(30)
        self._links: dict[str, Link] = {}
        self._by_job: defaultdict[str, list[Link]] = defaultdict(list)
        self._lock = threading.Lock()

    def issue(
        self, scheme: Scheme, path: str, job_id: str, host: str, *, ttl: float | None, dead: bool = False
    ) -> Link:
        """A link for ``path`` that lives ``ttl`` seconds (None: the provider's usual time) or is dead already."""
        now = time.time()
        if dead:
            expires = int(now) - 60
        elif ttl is None:
            expires = _usual_expiry(scheme, now)
        else:
            expires = math.ceil(now + ttl)
        with self._lock:
            while True:
                make = self._jwt_link if scheme is Scheme.JWT else self._s3_link
                link = make(path, job_id, host, now, expires)
                known = self._links.get(link.secret)
                if known is None:
                    self._links[link.secret] = link
                    self._by_job[job_id].append(link)
                    return link
                if not known.killed:
                    return known
                expires -= 1  # the same second would give the killed link again

    def judge(self, method: str, path: str, query: str, host: str) -> tuple[Verdict, Link | None]:
        """Check signature first, then time, as the real hosts do."""
        arguments = dict(parse_qsl(query, keep_blank_values=True))
        now = time.time()
        if "_jwt" in arguments:
            claims = self._read_jwt(arguments["_jwt"])
            if claims is None or claims.get("keyHash") != _key_hash(path):
                return Verdict.FORGED, None
            secret, expires = arguments["_jwt"], float(claims["exp"])
        elif "X-Amz-Signature" in arguments:
            secret = arguments.pop("X-Amz-Signature")
            if not hmac.compare_digest(secret, self._s3_signature(method, path, arguments, host)):
                return Verdict.FORGED, None
            expires = _s3_time(arguments["X-Amz-Date"]) + int(arguments["X-Amz-Expires"])
        else:
            return Verdict.FORGED, None
        with self._lock:
            link = self._links.get(secret)
        if now >= expires or (link is not None and link.killed):
            return Verdict.EXPIRED, link
        return Verdict.GOOD, link

    def count_download(self, link: Link) -> None:
        """Remember that the link was used."""
        with self._lock:
            link.downloads += 1

    def kill(self, job_id: str) -> int:
        """Make every link of the job answer as if it had expired; how many were alive."""
        with self._lock:
            alive = [link for link in self._by_job[job_id] if not link.killed and link.expires_at > time.time()]
            for link in alive:
                link.killed = True
        return len(alive)

    def of_job(self, job_id: str) -> list[Link]:
        """The links of one job, oldest first."""
        with self._lock:
            return list(self._by_job[job_id])

    def secrets(self) -> tuple[str, ...]:
        """Every JWT and signature ever issued."""
        with self._lock:
            return tuple(self._links)

    def _jwt_link(self, path: str, job_id: str, host: str, now: float, expires: int) -> Link:
        claims = {"keyHash": _key_hash(path), "bucket": "runway-task-artifacts", "stage": _STAGE, "exp": expires}
        head = _b64(json.dumps({"alg": "HS256", "typ": "JWT"}, separators=(",", ":")).encode())
        body = _b64(json.dumps(claims, separators=(",", ":")).encode())
        token = f"{head}.{body}.{self._jwt_mac(f'{head}.{body}')}"
        return Link(Scheme.JWT, path, token, f"_jwt={token}", now, expires, job_id)

    def _jwt_mac(self, signed: str) -> str:
        return _b64(hmac.digest(self._jwt_key, signed.encode(), "sha256"))

    def _read_jwt(self, token: str) -> dict[str, Any] | None:
        signed, _, mac = token.rpartition(".")
        if not hmac.compare_digest(mac.encode(), self._jwt_mac(signed).encode()):
            return None
        body = signed.partition(".")[2]
        claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        return claims

    def _s3_link(self, path: str, job_id: str, host: str, now: float, expires: int) -> Link:
        signed_at = int(min(now, expires - 1))
        if expires - signed_at > _LONGEST_S3:
            expires = signed_at + _LONGEST_S3
        moment = datetime.fromtimestamp(signed_at, UTC).strftime("%Y%m%dT%H%M%SZ")
        arguments = {
            "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
            "X-Amz-Credential": f"{_ACCESS_KEY_ID}/{moment[:8]}/{_REGION}/s3/aws4_request",
            "X-Amz-Date": moment,
            "X-Amz-Expires": str(expires - signed_at),
            "X-Amz-SignedHeaders": "host",
        }
        signature = self._s3_signature("GET", path, arguments, host)
        query = f"{_canonical_query(arguments)}&X-Amz-Signature={signature}"
        return Link(Scheme.S3, path, signature, query, now, expires, job_id)

    def _s3_signature(self, method: str, path: str, arguments: dict[str, str], host: str) -> str:
        """AWS Signature Version 4 of a presigned request (Amazon S3 API, "Authenticating requests: query")."""
        moment = arguments.get("X-Amz-Date", "")
        request = "\n".join(
            [method, quote(path), _canonical_query(arguments), f"host:{host}", "", "host", "UNSIGNED-PAYLOAD"]
        )
        scope = f"{moment[:8]}/{_REGION}/s3/aws4_request"
        digest = hashlib.sha256(request.encode()).hexdigest()
        key = b"AWS4" + self._s3_key.encode()
        for part in scope.split("/"):
            key = hmac.digest(key, part.encode(), "sha256")
        return hmac.new(key, f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{digest}".encode(), "sha256").hexdigest()


def _usual_expiry(scheme: Scheme, now: float) -> int:
    """Runway's links die at the first midnight (UTC) at least 24 hours away; the S3 ones after a day."""
    if scheme is Scheme.S3:
        return int(now) + 86_400
    day = datetime.fromtimestamp(now, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return int((day + timedelta(days=2)).timestamp())


def _key_hash(path: str) -> str:
    return hashlib.sha256(path.encode()).hexdigest()[:16]


def _s3_time(moment: str) -> float:
    return datetime.strptime(moment, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()


def _canonical_query(arguments: dict[str, str]) -> str:
    return "&".join(f"{quote(k, safe='')}={quote(v, safe='')}" for k, v in sorted(arguments.items()))


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
