"""What was asked for, and whether what came may be that.

Bytes that tell what they are (a video, a picture, an archive) are taken as that. What an error page
may come as (a web page, XML, JSON, text) is taken only where such a file was asked for by name, and only when it
does not read like a refusal.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final, Literal
from urllib.parse import unquote, urlsplit

from video_assets.media.file_types import (
    GZIP,
    HTML,
    JSON,
    TEXT,
    UNKNOWN,
    WRITTEN,
    XML,
    ZIP,
    FileFormat,
    Kind,
    by_extension,
    by_mime,
    extension_of,
)
from video_assets.media.formats import is_plain, recognise
from video_assets.transfer.download.error_responses import read_error
from video_assets.transfer.failures import Fault

Expected = Literal["video", "image", "audio", "subtitle", "archive", "file"]
"""The family a file must belong to; ``file`` is any, documents included."""

_PROGRAMS: Final = frozenset(("php", "asp", "aspx", "ashx", "jsp", "cgi", "do", "action", "pl", "py", "rb"))
"""Extensions of the program that answers, which say nothing of the file."""
_TEXTS: Final = {"text": (TEXT, JSON), "json": (JSON,), "xml": (XML,), "html": (HTML,)}
"""What bytes may look like when a file of a written format was asked for."""
_ERROR_NAMES: Final = frozenset(
    (
        "error",
        "errors",
        "message",
        "code",
        "statuscode",
        "errorcode",
        "errormessage",
        "detail",
        "fault",
        "exception",
    )
)
_BESIDE_ERRORS: Final = _ERROR_NAMES | frozenset((
    "status", "msg", "success", "ok", "type", "title", "reason", "name", "hint", "details", "description", "help",
    "docs", "documentationurl", "requestid", "hostid", "traceid", "trace", "timestamp", "time", "path",
    "instance", "resource", "maintenance", "retryafter", "errordescription", "url",
))  # fmt: skip
"""Names of a JSON object that is an error document; one name outside of them, with a value, makes it another."""
_REFUSING_TEXT: Final = re.compile(
    r"\W*(?:error\W+)?(?:[45]\d\d\W+)?(?:error\b|(?:page |file |object |resource )?not found|access denied"
    r"|forbidden\W*$|unauthori[sz]ed\W*$|expired\W*$|permission denied"
    r"|(?:this |the )?(?:link|url|token|signature|request|session) (?:has |is )?(?:expired|invalid|not valid)"
    r"|(?:invalid|missing|bad) (?:signature|token|request|key|parameter)|signature does ?n[o']t match"
    r"|no such (?:key|file|bucket|object)|too many requests|rate limit|(?:service|temporarily) unavailable"
    r"|internal server error|bad gateway|gateway time-?out|upstream )",
    re.I,
)
_LONGEST_REFUSING_TEXT: Final = 300
_REFUSING_XML: Final = re.compile(r"<(?:\w+:)?(?:error|errors|fault|exception|errorresponse)\b", re.I)
_REFUSING_PAGE: Final = re.compile(
    r"<(?:title|h1)[^>]*>[^<]{0,200}?(?:\b[45]\d\d\b|error|denied|expired|not found|forbidden|unauthori|sign ?in"
    r"|log ?in|just a moment|attention required|captcha|verif|unavailable|maintenance|too many|robot|human)",
    re.I,
)


@dataclass(frozen=True, slots=True)
class Asked:
    """What one file is expected to be, and by what name it was asked for."""

    kind: Expected | None = None
    """None takes whatever tells by itself what it is."""
    named: FileFormat | None = None
    """By the extension of the name; None when it has none or an unknown one."""
    extension: str = ""
    """The extension itself, in lower case; empty without one."""

    @classmethod
    def of(cls, kind: Expected | None, *names: str, content_type: str = "") -> Asked:
        """By the first of ``names`` (paths or file names) that has an extension, else by the Content-Type.

        A Content-Type tells only what no error page and no stand-in picture comes with.
        """
        for name in names:
            extension = extension_of(unquote(name))
            if extension and extension not in _PROGRAMS and not extension.isdigit():
                return cls(kind, by_extension(extension), extension)
        declared = by_mime(content_type)
        told = declared is not None and declared not in WRITTEN and declared.kind not in ("image", "playlist")
        return cls(kind, declared if told else None)

    def fault(self, head: bytes, body: bytes) -> Fault | None:
        """Why a file that begins with ``head`` is not what was asked for; None when it may be.

        ``body`` is as much of it as an error page would have.
        """
        found = recognise(head)
        if found.kind == "playlist":
            return Fault.PLAYLIST
        if found in WRITTEN:
            wanted = self._takes_text(found) and not reads_like_refusal(found, body)
            return None if wanted else _TEXT_FAULTS[found.name]
        if found is UNKNOWN:
            return None if self._takes_unknown(head) else Fault.WRONG_CONTAINER
        return None

    def takes(self, kind: Kind) -> bool:
        """Whether a file whose bytes tell that it is of this family may be what was asked for.

        A picture in the place of a video or a song is what hosts put there when the file is gone. Nobody does
        that with anything else; what a row or a provider calls a file is often a guess, and the file came whole.
        """
        if kind != "image" or self.kind in (None, "image", "subtitle", "file"):
            return True
        return self.named is not None and self.named.kind == "image"

    def _takes_text(self, found: FileFormat) -> bool:
        if self.named is None:
            by_kind = self.kind == "file" and not self.extension and found is not HTML
            return by_kind or (self.kind == "subtitle" and found is TEXT)
        if self.named.kind == "subtitle":
            return found is TEXT or self.named.looks == found.name
        return found is self.named or found in _TEXTS.get(self.named.looks or self.named.name, ())

    def _takes_unknown(self, head: bytes) -> bool:
        if self.named is None:
            return bool(self.extension) or self.kind == "file"
        if self.named.looks == "unknown":
            return True
        is_text = self.named.kind == "subtitle" or self.named is TEXT or self.named.looks == "text"
        return is_text and is_plain(head)  # in an encoding older than UTF-8

    def settled(self, found: FileFormat) -> FileFormat:
        """The format to keep the file as: by its bytes, and by its name where they do not tell."""
        named = self.named
        if found is UNKNOWN and named is None and self.extension:
            return replace(UNKNOWN, extension=self.extension)
        if named is None or found not in (*WRITTEN, UNKNOWN, ZIP, GZIP):
            return found
        is_text = named.kind == "subtitle" or named is TEXT or named.looks == "text"
        return named if named.looks == found.name or (is_text and found in (TEXT, UNKNOWN)) else found


_TEXT_FAULTS: Final = {
    "html": Fault.HTML_BODY,
    "xml": Fault.XML_BODY,
    "json": Fault.JSON_BODY,
    "text": Fault.TEXT_BODY,
}


def path_of(url: str) -> str:
    """The path of a URL; empty when it cannot be split."""
    try:
        return urlsplit(url).path
    except ValueError:
        return ""


def reads_like_refusal(found: FileFormat, body: bytes) -> bool:
    """Whether a document is an error page of a cloud, an API or a site rather than the file asked for."""
    text = body.decode("utf-8", "replace").lstrip("\ufeff \t\r\n")
    if found is HTML:
        return bool(_REFUSING_PAGE.search(text))
    if found is XML:
        return bool(_REFUSING_XML.search(text[:2000])) or read_error(body).code is not None
    if found is JSON:
        return _is_error_document(text)
    return len(text) <= _LONGEST_REFUSING_TEXT and bool(_REFUSING_TEXT.match(text))


def _is_error_document(text: str) -> bool:
    """Whether JSON says nothing but that something went wrong."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return False
    if not isinstance(found, dict):
        return False
    names = {_plain(name) for name, value in found.items() if value not in (None, "", [], {})}
    return bool(names & _ERROR_NAMES) and names <= _BESIDE_ERRORS


def _plain(name: object) -> str:
    return re.sub(r"[^a-z]", "", str(name).lower())


def file_names(headers: Iterable[tuple[str, str]]) -> list[str]:
    """File names that an answer gives in Content-Disposition (RFC 6266), its UTF-8 form first."""
    names = []
    for header, value in headers:
        if header.lower() == "content-disposition":
            for found in re.finditer(r"filename(\*?)\s*=\s*(?:\"([^\"]*)\"|([^;\s]+))", value, re.I):
                name = unquote((found.group(2) or found.group(3) or "").rpartition("''")[2])
                names.append((not found.group(1), name))
    return [name for _, name in sorted(names)]
