"""Find every temporary or credential-carrying URL of a document, whatever formats it is wrapped in.

>>> [f.url for f in find('{"video": "https:\\\\/\\\\/u:secret@cdn.example.com\\\\/a.mp4"}')]
['https://u:secret@cdn.example.com/a.mp4']
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from video_assets.urls.classify.classification import Classification
from video_assets.urls.classify.classify import classify
from video_assets.urls.documents.encodings import ByteOffsets, decode_bytes
from video_assets.urls.documents.prefilter import Suspect, look
from video_assets.urls.documents.reader import places
from video_assets.urls.documents.triggers import may_contain
from video_assets.urls.documents.views import View
from video_assets.urls.host_rules import NO_RULES, HostRules
from video_assets.urls.redact.redact import redact
from video_assets.urls.syntax.placeholders import is_followed_by_placeholder

__all__ = ["Finding", "find", "may_contain"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One URL of a document that must not be kept, and exactly where it stands."""

    start: int
    """Offset of its first character in the content (of its first byte, when the content is bytes)."""
    end: int
    """Offset behind its last character."""
    raw: str | bytes = field(repr=False)
    """``content[start:end]``: the URL in the document's own spelling. A secret."""
    url: str = field(repr=False)
    """The URL itself, decoded and unescaped. A secret."""
    layers: tuple[str, ...]
    """The formats it is wrapped in, outermost first: ``json``, ``php``, ``csv``, ``html``, ``percent``,
    ``sql`` and ``escape`` for backslashes outside a JSON document."""
    pointers: tuple[str | None, ...] = field(repr=False)
    """One RFC 6901 pointer per ``json`` layer, outermost first; None where it would be absurdly long. Tokens are
    the document's own keys, so a pointer can hold a secret when a key does."""
    in_key: bool
    """True when the URL stands in an object's key; the last pointer then names that object."""
    classification: Classification

    @property
    def pointer(self) -> str | None:
        """The way through all JSON layers as one pointer; None when the URL is not in JSON."""
        if not self.pointers or None in self.pointers:
            return None
        return "".join(pointer for pointer in self.pointers if pointer is not None)

    @property
    def safe_pointer(self) -> str | None:
        """``pointer`` with the secrets of URL-like keys taken out: for people, logs and tables."""
        pointer = self.pointer
        if pointer is None or "~1" not in pointer:
            return pointer
        tokens = [token.replace("~1", "/").replace("~0", "~") for token in pointer.split("/")]
        return "/".join(redact(token).replace("~", "~0").replace("/", "~1") for token in tokens)


def find(
    content: str | bytes,
    content_type: str | None = None,
    *,
    created_at: datetime | None = None,
    now: datetime | None = None,
    hosts: HostRules = NO_RULES,
) -> list[Finding]:
    """The URLs of ``content`` that are temporary or carry a credential, in the order of the document.

    Understands plain text, HTML, Markdown, CSV, JSON and PHP-serialised text, each inside any other, broken and
    cut-off documents included. A URL nested in another (an image proxy) is one finding, the outer.

    Args:
        content: the document. Bytes may be in any encoding that keeps ASCII, or in UTF-16 or UTF-32.
        content_type: a media type such as ``application/json``, when it is known; else the text decides.
        created_at: when the document was written, for hosts that keep files for a fixed time.
        now: the present, for tests.
        hosts: the user's own rules about hosts that delete.

    Never raises on any content. Linear in its length.
    """
    if isinstance(content, str) and content_type is None:
        suspects = look(content, hosts)
        if suspects is not None:
            if not suspects:
                return []
            return [
                found
                for suspect in suspects
                if not (
                    found := _at_suspect(content, suspect, created_at, now, hosts)
                ).classification.is_persistable
            ]
    elif not may_contain(content):
        return []
    if isinstance(content, bytes):
        decoded = decode_bytes(content)
        offsets = ByteOffsets(decoded)
        findings = list(_find_in_text(decoded.text, content_type, created_at, now, hosts))
        return [_in_bytes(finding, offsets, content) for finding in findings]
    return list(_find_in_text(content, content_type, created_at, now, hosts))


def _at_suspect(
    text: str, suspect: Suspect, created_at: datetime | None, now: datetime | None, hosts: HostRules
) -> Finding:
    url = text[suspect.start : suspect.end]
    return Finding(
        start=suspect.start,
        end=suspect.end,
        raw=url,
        url=url,
        layers=("json",),
        pointers=(suspect.pointer,),
        in_key=False,
        classification=classify(url, created_at=created_at, now=now, hosts=hosts),
    )


def _find_in_text(
    text: str,
    content_type: str | None,
    created_at: datetime | None,
    now: datetime | None,
    hosts: HostRules = NO_RULES,
) -> Iterator[Finding]:
    known: dict[str, Classification] = {}

    def classified(url: str) -> Classification:
        classification = known.get(url)
        if classification is None:
            classification = known[url] = classify(url, created_at=created_at, now=now, hosts=hosts)
        return classification

    covered = 0
    for start, end, candidate in places(View(text), content_type):
        found = classified(candidate.url)
        if start < covered or found.is_persistable:
            continue
        covered = end
        view = candidate.view
        if found.truncated and is_followed_by_placeholder(view.text, candidate.end):
            continue
        yield Finding(
            start=start,
            end=end,
            raw=text[start:end],
            url=candidate.url,
            layers=view.layers,
            pointers=view.pointers,
            in_key=view.in_key,
            classification=found,
        )


def _in_bytes(finding: Finding, offsets: ByteOffsets, content: bytes) -> Finding:
    start = offsets.of(finding.start)
    end = offsets.of(finding.end)
    return Finding(
        start=start,
        end=end,
        raw=content[start:end],
        url=finding.url,
        layers=finding.layers,
        pointers=finding.pointers,
        in_key=finding.in_key,
        classification=finding.classification,
    )
