"""Invented links as the providers write them: right in form and in their times, signed by nobody."""

from __future__ import annotations

import base64
import hashlib
import json
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from random import Random
from urllib.parse import quote

from video_assets.legacy.config.presets.preset import Fate, Sample

PROJECT = "https://qkzvxwhdtlbm.supabase.co/storage/v1/object/public"
"""Where the old systems kept what they did save."""

_LEFT = (
    (timedelta(minutes=5), timedelta(minutes=55)),
    (timedelta(hours=2), timedelta(hours=20)),
    (timedelta(days=2), timedelta(days=6)),
)
"""How long links that are alive still live: some die within the hour, some today, some this week."""

_LIFETIMES = {
    "runway": timedelta(hours=36),
    "luma": timedelta(days=1),
    "openai": timedelta(days=6, hours=1),
    "heygen": timedelta(days=7),
    "replicate": timedelta(hours=1),
    "kie": timedelta(days=14),
}


class InventedLinks:
    """Links that look real and lead nowhere. The same seed gives the same links."""

    def __init__(self, now: datetime | None = None) -> None:
        self.now = (now or datetime.now(UTC)).replace(microsecond=0)

    def sample(self, style: str, random: Random) -> Sample:
        """A video whose link is alive, dead or durable, or no link at all."""
        fate = random.choices(list(Fate), weights=(30, 30, 20, 12, 8))[0]
        lifetime = _LIFETIMES[style]
        if fate is Fate.ALIVE:
            shortest, longest = random.choice([span for span in _LEFT if span[0] < lifetime])
            dies = self.now + shortest + (min(longest, lifetime) - shortest) * random.random()
        else:
            dies = self.now - timedelta(hours=1) - timedelta(days=120) * random.random()
        dies = dies.replace(microsecond=0)
        created = dies - lifetime
        task_id = str(_uuid(random))
        if fate is Fate.EMPTY:
            return Sample(fate, style, task_id, created)
        if fate is Fate.DURABLE:
            url = f"{PROJECT}/generated-videos/{_uuid(random)}/video-0.mp4"
            return Sample(fate, style, task_id, created, url, url.replace(".mp4", ".jpg"))
        write = _WRITERS[style]
        name = str(_uuid(random))
        return Sample(
            fate, style, task_id, created, write(name, "mp4", dies, random), write(name, "jpg", dies, random)
        )

    def image(self, name: str, random: Random) -> Sample:
        """An input picture: nine in ten in public storage, the others behind a signed link of it."""
        created = self.now - timedelta(days=60) * random.random()
        path = f"hug-images/{_uuid(random)}-{name}.jpg"
        if random.random() < 0.9:
            return Sample(Fate.DURABLE, "supabase", "", created, f"{PROJECT}/{path}")
        dies = created + timedelta(days=7)
        fate = Fate.ALIVE if dies > self.now else Fate.GONE
        token = _jwt({"url": path, "iat": int(created.timestamp()), "exp": int(dies.timestamp())}, random)
        signed = PROJECT.replace("/public", "/sign")
        return Sample(fate, "supabase", "", created, f"{signed}/{path}?token={token}")

    def finish(self) -> None:
        """Nothing is left to do."""


def _uuid(random: Random) -> uuid.UUID:
    return uuid.UUID(int=random.getrandbits(128), version=4)


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _jwt(claims: dict[str, object], random: Random) -> str:
    head = _base64(json.dumps({"alg": "HS256", "typ": "JWT"}, separators=(",", ":")).encode())
    body = _base64(json.dumps(claims, separators=(",", ":")).encode())
    return f"{head}.{body}.{_base64(random.randbytes(32))}"


def _runway(name: str, extension: str, dies: datetime, random: Random) -> str:
    claims: dict[str, object] = {
        "keyHash": hashlib.sha256(name.encode()).hexdigest()[:16],
        "bucket": "runway-task-artifacts",
        "stage": "prod",
        "exp": int(dies.timestamp()),
    }
    return f"https://dnznrvs05pmza.cloudfront.net/{name}.{extension}?_jwt={_jwt(claims, random)}"


def _s3(name: str, extension: str, dies: datetime, random: Random) -> str:
    signed = dies - timedelta(days=1)
    return (
        f"https://luma-outputs.s3.us-east-1.amazonaws.com/dream-machine/{name}/out.{extension}"
        "?X-Amz-Algorithm=AWS4-HMAC-SHA256"
        f"&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F{signed:%Y%m%d}%2Fus-east-1%2Fs3%2Faws4_request"
        f"&X-Amz-Date={signed:%Y%m%dT%H%M%SZ}&X-Amz-Expires=86400&X-Amz-SignedHeaders=host"
        f"&X-Amz-Signature={random.randbytes(32).hex()}"
    )


def _azure(name: str, extension: str, dies: datetime, random: Random) -> str:
    started = dies - timedelta(days=6, hours=1)
    signature = quote(base64.b64encode(random.randbytes(32)).decode(), safe="")
    return (
        f"https://videos.openai.com/vg-assets/assets%2Ftask_{name.replace('-', '')}%2Fsrc.{extension}"
        f"?st={quote(f'{started:%Y-%m-%dT%H:%M:%SZ}', safe='')}&se={quote(f'{dies:%Y-%m-%dT%H:%M:%SZ}', safe='')}"
        f"&sks=b&skt={quote(f'{started:%Y-%m-%dT%H:%M:%SZ}', safe='')}&ske="
        f"{quote(f'{dies:%Y-%m-%dT%H:%M:%SZ}', safe='')}&sktid=a48cca56-e6da-484e-a814-9c849652bcb3"
        "&skoid=3d249c53-07fa-4ba4-9b65-0bf8eb4ea46a&skv=2018-11-09&sv=2018-11-09&sr=b&sp=r&spr=https%2Chttp"
        f"&sig={signature}&az=oaivgprodscus"
    )


def _cloudfront(name: str, extension: str, dies: datetime, random: Random) -> str:
    signature = base64.b64encode(random.randbytes(256)).decode().translate(str.maketrans("+=/", "-_~"))
    return (
        f"https://files2.heygen.ai/aws_pacific/avatar_tmp/{name}/avatar.{extension}"
        f"?Expires={int(dies.timestamp())}&Signature={signature}&Key-Pair-Id=K38HBHX5LX3X2H"
    )


def _replicate(name: str, extension: str, _dies: datetime, random: Random) -> str:
    return f"https://replicate.delivery/xezq/{_base64(random.randbytes(30))}/{name[:8]}.{extension}"


def _kie(name: str, extension: str, _dies: datetime, random: Random) -> str:
    return f"https://tempfile.aiquickdraw.com/v/{name.replace('-', '')}_{random.randrange(10**10)}.{extension}"


_WRITERS: dict[str, Callable[[str, str, datetime, Random], str]] = {
    "runway": _runway,
    "luma": _s3,
    "openai": _azure,
    "heygen": _cloudfront,
    "replicate": _replicate,
    "kie": _kie,
}
