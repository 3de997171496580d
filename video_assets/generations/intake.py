"""Intake: a request becomes a row and is answered at once; nothing is sent to a provider here."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.exc import IntegrityError
from sqlmodel import Session

from video_assets.catalog import Catalog, Generation, ProviderJob, journal, queries
from video_assets.providers.base import GenerationSpec, Provider
from video_assets.urls import find

MAX_VERSIONS = 10


class RequestInvalid(Exception):
    """The request cannot be taken as it is. ``field`` names the part to change."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field


class IdempotencyConflict(RequestInvalid):
    """The same owner used the same idempotency key for another request."""


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """What a user asks for. ``parameters`` go to the provider as they are."""

    owner: str
    provider: str
    model: str
    prompt: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    versions: int = 1
    campaign: str | None = None
    title: str | None = None
    language: str | None = None
    idempotency_key: str | None = None

    @property
    def digest(self) -> str:
        """SHA-256 of what was asked, idempotency key aside."""
        asked = [self.provider, self.model, self.prompt, dict(self.parameters), self.versions]
        return hashlib.sha256(json.dumps(asked, sort_keys=True, default=str).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Intake:
    """The row, and whether it is new (False: the idempotency key was seen before)."""

    generation: Generation
    created: bool


def take_in(catalog: Catalog, request: GenerationRequest, provider: Provider) -> Intake:
    """Check the request and write its row, ``queued``, with one planned job per version.

    Asking twice with one idempotency key gives the first row back. Raises RequestInvalid,
    IdempotencyConflict, or the provider's RequestRefused and KeyRefused.
    """
    check_request(request, provider)
    try:
        with catalog.write() as session:
            known = _known(session, request)
            if known is not None:
                return Intake(known, created=False)
            generation = _row(request, provider)
            session.add(generation)
            session.flush()
            for ordinal in range(request.versions):
                session.add(plan_job(generation, ordinal, 1))
            journal.record(
                session,
                "queued",
                f"{request.versions} × {provider.title} {request.model} for {request.owner}",
                generation_id=generation.id,
            )
        return Intake(generation, created=True)
    except IntegrityError:
        # Somebody else wrote the same idempotency key between our look and our commit.
        with catalog.read() as session:
            known = _known(session, request)
        if known is None:
            raise
        return Intake(known, created=False)


def check_request(request: GenerationRequest, provider: Provider) -> None:
    """Raise RequestInvalid or RequestRefused for what is wrong with a request; nothing is written or sent."""
    _check(request)
    provider.validate(GenerationSpec(request.model, request.prompt, request.parameters))


def plan_job(generation: Generation, ordinal: int, try_number: int) -> ProviderJob:
    """A planned provider job for one version of a generation."""
    job_id = f"{generation.id}.{ordinal}.{try_number}"
    return ProviderJob(
        id=job_id,
        generation_id=generation.id,
        ordinal=ordinal,
        try_number=try_number,
        provider=generation.provider,
        model=generation.model,
        client_reference=job_id,
    )


def _check(request: GenerationRequest) -> None:
    if not request.owner.strip():
        raise RequestInvalid("owner", "a generation needs an owner: nothing was uploaded or saved")
    if len(request.owner) > 200:
        raise RequestInvalid("owner", "at most 200 characters")
    if not request.model.strip():
        raise RequestInvalid("model", "name the provider's model, for example gen4.5 or ray-2")
    if not request.prompt.strip():
        raise RequestInvalid("prompt", "the prompt is empty")
    if not 1 <= request.versions <= MAX_VERSIONS:
        raise RequestInvalid("versions", f"between 1 and {MAX_VERSIONS}, got {request.versions}")
    if request.idempotency_key is not None and not 1 <= len(request.idempotency_key) <= 255:
        raise RequestInvalid("idempotency_key", "between 1 and 255 characters")
    try:
        text = json.dumps(dict(request.parameters), ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as exc:
        raise RequestInvalid("parameters", f"not plain JSON ({exc})") from None
    for name, value in (("prompt", request.prompt), ("parameters", text), ("title", request.title or "")):
        if find(value):
            raise RequestInvalid(
                name,
                "holds a temporary or credential-carrying URL, which would be dead or leaked later: "
                "host the file durably first and pass that address",
            )


def _known(session: Session, request: GenerationRequest) -> Generation | None:
    if request.idempotency_key is None:
        return None
    known = queries.by_idempotency_key(session, request.owner, request.idempotency_key)
    if known is not None and known.request_digest != request.digest:
        raise IdempotencyConflict(
            "idempotency_key",
            f"{request.idempotency_key!r} was used for {known.id}, which asks for something else: "
            "use a new key for a new request",
        )
    return known


def _row(request: GenerationRequest, provider: Provider) -> Generation:
    parameters = dict(request.parameters)
    pictures = any(name in parameters for name in ("promptImage", "keyframes", "prompt_image", "image"))
    return Generation(
        owner=request.owner.strip(),
        campaign=request.campaign,
        title=request.title,
        language=request.language,
        provider=request.provider,
        model=request.model,
        generation_type="image_to_video" if pictures else "text_to_video",
        prompt=request.prompt,
        prompt_length=provider.prompt_length(request.prompt),
        aspect_ratio=_text(parameters.get("aspect_ratio") or parameters.get("ratio")),
        duration=_seconds(parameters.get("duration")),
        parameters=parameters,
        versions=request.versions,
        idempotency_key=request.idempotency_key,
        request_digest=request.digest,
    )


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _seconds(value: object) -> float | None:
    """``5``, ``"5"`` and ``"5s"`` as seconds; None for words such as ``auto``."""
    try:
        return None if value is None else float(str(value).removesuffix("s"))
    except ValueError:
        return None
