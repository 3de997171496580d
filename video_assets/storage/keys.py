"""Names of objects: which keys are allowed at all, and how a key is made from a template.

A key made here is safe everywhere it travels: as a path on a disk, in a URL, and through Supabase Storage,
which accepts only ASCII letters, digits and a few marks.
"""

from __future__ import annotations

import hashlib
import re
import string
import unicodedata
from dataclasses import dataclass
from typing import Final

from video_assets.storage.durable import StorageFailed

WORDS: Final = ("owner", "generation", "provider", "kind", "index", "ext", "id", "campaign")
"""What a key template may mention."""

MAX_KEY_BYTES: Final = 1024  # of S3
MAX_SEGMENT_BYTES: Final = 255  # of every usual file system
RESERVED_SEGMENT: Final = ".incoming"
"""First segment that no key may have: the local store keeps half-written files there."""

_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
_HASHED = re.compile(r".*_[0-9a-f]{16}")
_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f-\x9f\\]")


class InvalidKey(StorageFailed):
    """The key can never name an object. Trying again does not help."""

    def __init__(self, message: str) -> None:
        super().__init__(message, retryable=False)


class InvalidTemplate(ValueError):
    """The key template of the settings cannot be used. The message says what to change."""


def validate_key(key: str) -> str:
    """Return ``key`` unchanged when it may name an object, else raise :class:`InvalidKey`.

    Refused: empty keys and segments, ``.`` and ``..``, a leading slash, backslashes, control characters, lone
    surrogates, segments over 255 bytes and keys over 1,024 bytes.
    """
    try:
        encoded = key.encode("utf-8")
    except UnicodeEncodeError:
        raise InvalidKey("A storage key holds characters that are not text.") from None
    if not key:
        raise InvalidKey("A storage key must not be empty.")
    if len(encoded) > MAX_KEY_BYTES:
        raise InvalidKey(f"A storage key is {len(encoded)} bytes long; {MAX_KEY_BYTES} are allowed.")
    if _FORBIDDEN.search(key):
        raise InvalidKey(f"The storage key {key!r} holds a control character or a backslash.")
    segments = key.split("/")
    if any(segment in ("", ".", "..") for segment in segments):
        raise InvalidKey(f"The storage key {key!r} has an empty, '.' or '..' segment.")
    if segments[0] == RESERVED_SEGMENT:
        raise InvalidKey(f"No storage key may begin with {RESERVED_SEGMENT!r}.")
    if any(len(segment.encode("utf-8")) > MAX_SEGMENT_BYTES for segment in segments):
        raise InvalidKey(f"A segment of a storage key is longer than {MAX_SEGMENT_BYTES} bytes.")
    return key


def safe_segment(value: str) -> str:
    """Write ``value`` as one key segment that cannot traverse and that no other value shares.

    Ordinary identifiers (letters, digits, ``.``, ``_``, ``-``) stay as they are, UUIDs included. Anything else
    becomes a readable part and 64 bits of its SHA-256: ``"Zoë/1"`` → ``"Zoe-1_<16 hex>"``. An identifier that
    already ends like that is hashed as well, so a crafted name cannot meet the name made for somebody else.
    An e-mail address is not spelled out, because durable links are public. Empty becomes ``"_"``.
    """
    if not value:
        return "_"
    if _PLAIN.fullmatch(value) and not _HASHED.fullmatch(value):
        return value
    digest = hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    if "@" in value:
        readable = ""
    else:
        ascii_only = unicodedata.normalize("NFKD", value).encode("ascii", "ignore").decode()
        readable = re.sub(r"[^A-Za-z0-9]+", "-", ascii_only).strip("-")[:40]
    return f"{readable or 'x'}_{digest}"


@dataclass(frozen=True, slots=True)
class KeyTemplate:
    """A checked key template. Make it with :meth:`parse`, once, at start."""

    template: str

    @classmethod
    def parse(cls, template: str) -> KeyTemplate:
        """Check ``template`` and return it; raises :class:`InvalidTemplate` with what to change.

        Besides being well formed, it must tell outputs apart: by ``{id}``, or by ``{generation}`` and
        ``{index}`` together.
        """
        setting = "VIDEO_ASSETS_KEY_TEMPLATE"
        try:
            parts = list(string.Formatter().parse(template))
        except ValueError as error:
            raise InvalidTemplate(f"{setting} {template!r} is not a template: {error}.") from None
        words = set()
        for _, word, spec, conversion in parts:
            if word is None:
                continue
            if word not in WORDS:
                raise InvalidTemplate(
                    f"{setting} {template!r} has the unknown word {{{word}}}; known are "
                    + ", ".join(f"{{{known}}}" for known in WORDS)
                    + "."
                )
            if spec or conversion:
                raise InvalidTemplate(f"{setting} {template!r}: write {{{word}}} without a format.")
            words.add(word)
        if "id" not in words and not {"generation", "index"} <= words:
            raise InvalidTemplate(
                f"{setting} {template!r} gives different videos the same name: "
                "use {id}, or {generation} and {index} together."
            )
        try:
            validate_key(template.format(**dict.fromkeys(WORDS, "x")))
        except InvalidKey as error:
            raise InvalidTemplate(f"{setting} {template!r} makes keys that are not allowed. {error}") from None
        return cls(template)

    def render(
        self,
        *,
        owner: str,
        generation: str,
        kind: str,
        index: int,
        ext: str,
        provider: str = "",
        id: str = "",
        campaign: str = "",
    ) -> str:
        """The key of one output. The same values give the same key for ever; nothing in them can traverse.

        ``id`` names the output itself and must be unique in the bucket when the template uses ``{id}``.
        ``ext`` may be written with or without its dot.
        """
        if "{id}" in self.template and not id:
            raise InvalidKey("The key template uses {id}, but this output has none.")
        values = {
            "owner": owner,
            "generation": generation,
            "provider": provider,
            "kind": kind,
            "index": str(index),
            "ext": ext.lower().lstrip("."),
            "id": id,
            "campaign": campaign,
        }
        return validate_key(self.template.format(**{word: safe_segment(text) for word, text in values.items()}))
