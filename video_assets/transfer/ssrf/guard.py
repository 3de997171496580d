"""May this URL be fetched? One strict parser, one answer, and the very addresses that may be dialled.

A URL given by a provider or found in a database is untrusted: it may lead into the own network. Two parsers that
disagree are the usual way in, so the verdict carries everything the connection needs (scheme, host, port,
addresses, request target) and nothing behind it looks at the URL again.
"""

from __future__ import annotations

import re
import socket
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import islice

import idna

from video_assets.transfer.ssrf.ip_ranges import IPAddress, is_synthetic, parse_address, why_refused

DEFAULT_PORTS = (80, 443, 8080, 8443)
LONGEST_URL = 65_536
_LONGEST_NAME = 253
_MOST_ANSWERS = 256

_SCHEME_PORT = {"http": 80, "https": 443}
_PORT = re.compile(r"[1-9][0-9]{0,4}")
_LABEL = re.compile(r"[a-z0-9_-]{1,63}")
_QUAD = re.compile(r"(?:(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])(?:\.(?!$)|$)){4}")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")

_NO_SUCH_NAME = (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME))
"""What ``getaddrinfo`` says when the DNS did answer: there is no such name, or it has no address."""

_LOCAL_SUFFIXES = (
    "localhost",
    "localdomain",
    "localdomain4",
    "localdomain6",
    "local",
    "internal",
    "svc",
    "home.arpa",
    # Never delegated in the public DNS, and used inside networks by convention.
    "corp",
    "home",
    "intranet",
    "lan",
    "private",
    # The second name of a cloud's metadata service; the first ends in ``.internal``.
    "metadata.goog",
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a URL may be fetched, and if so, exactly what to dial and to send.

    ``reason`` is one sentence without secrets and ``rule`` one short word (``scheme``, ``userinfo``, ``host``,
    ``port``, ``name``, ``address``, ``dns`` …); both are None when allowed. ``host`` is ASCII and in lower case,
    an IPv6 literal without brackets. ``addresses`` are the checked ones, in the resolver's order.
    """

    allowed: bool
    reason: str | None = None
    rule: str | None = None
    scheme: str | None = None
    host: str | None = None
    port: int | None = None
    addresses: tuple[str, ...] = ()
    target: str = field(default="/", repr=False)
    """What goes on the request line: path and query byte for byte, blanks and non-ASCII percent-encoded.
    A bearer secret."""
    is_ours: bool = False
    """The refusal tells of this machine's own network, not of the link: no DNS, or made-up addresses."""

    def __bool__(self) -> bool:
        """True when allowed, so that a refusal is never taken for a yes."""
        return self.allowed

    @property
    def netloc(self) -> str:
        """Host and port as a ``Host`` header wants them: brackets around IPv6, no default port."""
        host = f"[{self.host}]" if ":" in (self.host or "") else (self.host or "")
        return host if self.port == _SCHEME_PORT.get(self.scheme or "") else f"{host}:{self.port}"

    @property
    def origin(self) -> str:
        """Scheme, host and port: what a credential is bound to. Holds no path, so it may be shown."""
        return f"{self.scheme}://{self.netloc}"


class _Refused(Exception):
    """Carries the rule and the sentence of a refusal out of the parser."""

    def __init__(self, rule: str, reason: str, *, is_ours: bool = False) -> None:
        super().__init__(reason)
        self.rule = rule
        self.reason = reason
        self.is_ours = is_ours


def system_resolve(host: str) -> list[str]:
    """Every address the operating system knows for ``host``, without duplicates. Raises OSError."""
    answers = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    return list(dict.fromkeys(str(answer[4][0]) for answer in answers))


def verdict(
    url: str,
    resolve: Callable[[str], list[str]],
    *,
    allowed_hosts: Iterable[str] = (),
    allowed_ports: Iterable[int] = DEFAULT_PORTS,
) -> Verdict:
    """Decide whether ``url`` may be fetched. Never raises.

    ``resolve`` gets the ASCII host name and returns its addresses; it is called once, and not for literals.
    One bad answer refuses them all. ``allowed_hosts`` holds exact names of test hosts, ``host`` or ``host:port``:
    they may have any address, and the port they name.
    """
    parts = _Parts()
    try:
        _split(url, parts)
        trusted = _check_place(parts, tuple(allowed_hosts), tuple(allowed_ports))
        addresses = _addresses(parts, resolve, trusted)
    except _Refused as refused:
        return Verdict(
            False,
            refused.reason,
            refused.rule,
            scheme=parts.scheme,
            host=parts.host,
            port=parts.port,
            is_ours=refused.is_ours,
        )
    return Verdict(
        True,
        scheme=parts.scheme,
        host=parts.host,
        port=parts.port,
        addresses=addresses,
        target=parts.target,
    )


@dataclass(slots=True)
class _Parts:
    scheme: str | None = None
    host: str | None = None
    port: int | None = None
    literal: IPAddress | None = None
    target: str = "/"


def _split(url: object, parts: _Parts) -> None:
    """Fill ``parts`` from ``url``, or raise _Refused. This is the only parser of an address to fetch."""
    if not isinstance(url, str):
        raise _Refused("url", "The address is not text.")
    if len(url) > LONGEST_URL:
        raise _Refused("url", f"The address is longer than {LONGEST_URL} characters.")
    _refuse_characters(url)
    scheme, mark, rest = url.partition("://")
    if not mark or scheme.lower() not in _SCHEME_PORT:
        raise _Refused("scheme", "Only http:// and https:// addresses are fetched.")
    parts.scheme = scheme.lower()
    end = next((i for i, char in enumerate(rest) if char in "/?#"), len(rest))
    authority, tail = rest[:end], rest[end:]
    if "@" in authority:
        raise _Refused("userinfo", "The address carries a user name or password before its host.")
    host, port = _split_authority(authority)
    parts.port = _SCHEME_PORT[parts.scheme] if port is None else _port(port)
    if host.startswith("["):
        parts.literal = _v6_literal(host[1:-1])
        parts.host = str(parts.literal)
    else:
        parts.host = _ascii_host(host)
        parts.literal = _v4_literal(parts.host)
    parts.target = request_target(tail)


def _refuse_characters(url: str) -> None:
    if "\\" in url:
        raise _Refused("characters", "The address contains a backslash, which parsers read differently.")
    if url[:1].isspace() or url[-1:].isspace():
        raise _Refused("characters", "The address begins or ends with a blank.")
    if url.isascii() and url.isprintable():
        return
    for char in url:
        if unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp"):
            raise _Refused("characters", "The address contains a control character or a line break.")


def _split_authority(authority: str) -> tuple[str, str | None]:
    """Host (IPv6 with its brackets) and the port's text, None when there is no colon."""
    if authority.startswith("["):
        inside, bracket, after = authority.partition("]")
        if not bracket or (after and not after.startswith(":")):
            raise _Refused("host", "The brackets of the host are not closed properly.")
        return inside + bracket, after[1:] if after else None
    host, colon, port = authority.partition(":")
    if ":" in port:
        raise _Refused("port", "The address names more than one port.")
    return host, port if colon else None


def _port(text: str) -> int:
    if not _PORT.fullmatch(text) or int(text) > 65_535:
        raise _Refused("port", "The port is not a number from 1 to 65535.")
    return int(text)


def _v6_literal(text: str) -> IPAddress:
    if "%" in text:
        raise _Refused("host", "The IPv6 address carries a zone, which only means something inside a network.")
    address = parse_address(text) if ":" in text else None
    if address is None:
        raise _Refused("host", "What stands in brackets is not an IPv6 address.")
    return address


def _ascii_host(host: str) -> str:
    """``host`` in lower-case ASCII, checked label by label. A single trailing dot is kept."""
    if not host:
        raise _Refused("host", "The address has no host.")
    if "%" in host:
        raise _Refused("host", "The host is percent-encoded, which parsers read differently.")
    ascii_host = host.lower() if host.isascii() else _idna(host)
    plain = ascii_host.removesuffix(".")
    labels = plain.split(".")
    if len(plain) > _LONGEST_NAME or not all(_LABEL.fullmatch(label) for label in labels):
        raise _Refused("host", "The host is not a valid name.")
    for label in labels:
        if label.startswith("xn--"):
            _check_encoded(label.removeprefix("xn--"))
    return ascii_host


def _check_encoded(label: str) -> None:
    """What stands behind ``xn--`` must be the encoding of an international name, and of nothing in disguise."""
    try:
        meaning = label.encode().decode("punycode")
        same = meaning.encode("punycode").decode() == label
    except (UnicodeError, ValueError, IndexError, OverflowError):
        same = False
    if not same or meaning.isascii():
        raise _Refused("host", "The host is not a valid international name.")
    _refuse_stand_ins(meaning)


def _idna(host: str) -> str:
    """The IDNA 2008 form of an international name; look-alikes of digits, dots and letters are refused."""
    _refuse_stand_ins(host)
    try:
        return idna.encode(unicodedata.normalize("NFC", host).lower(), strict=True, std3_rules=True).decode()
    except (UnicodeError, ValueError, IndexError):
        raise _Refused("host", "The host is not a valid international name.") from None


def _refuse_stand_ins(name: str) -> None:
    for char in name:
        compatible = unicodedata.normalize("NFKC", char)
        if not char.isascii() and (
            unicodedata.normalize("NFC", char) != compatible
            or unicodedata.category(char) in ("Nd", "Nl", "No", "Cc", "Cf", "Cs")
            or compatible.isascii()
        ):
            raise _Refused("host", "The host contains characters that stand in for digits, dots or letters.")


def _v4_literal(host: str) -> IPAddress | None:
    """The IPv4 address ``host`` is, None for a name; anything else that ``inet_aton`` might take is refused."""
    if _QUAD.fullmatch(host):
        return parse_address(host)
    if _NUMBER.fullmatch(host.removesuffix(".").rpartition(".")[2]):
        raise _Refused("host", "The host is a number, but not a plain dotted IPv4 address.")
    return None


def request_target(tail: str) -> str:
    """Path and query as they go on the wire: ``tail`` as it stands, without its fragment.

    Blanks and non-ASCII are percent-encoded, as browsers do (WHATWG URL, path and query percent-encode sets):
    some storage clients give out links with blanks in them.
    """
    target = tail.partition("#")[0]
    if not target.startswith("/"):
        target = "/" + target
    if target.isascii() and " " not in target:
        return target
    return "".join(
        char if char.isascii() and char != " " else "".join(f"%{byte:02X}" for byte in char.encode("utf-8"))
        for char in target
    )


def _check_place(parts: _Parts, allowed_hosts: tuple[str, ...], allowed_ports: tuple[int, ...]) -> bool:
    """Apply the rules for names and ports. True when the host is a named test host."""
    host = parts.host or ""
    plain = host.removesuffix(".")
    shown = f"[{plain}]" if ":" in plain else plain
    entries = {entry.strip().lower() for entry in allowed_hosts}
    if f"{shown}:{parts.port}" in entries:
        return True
    if parts.port not in allowed_ports:
        raise _Refused("port", f"Port {parts.port} is not one that sources are fetched from.")
    if shown in entries or plain in entries:
        return True
    if parts.literal is None:
        if "." not in plain:
            raise _Refused("name", "The host is a single word, which only means something inside a network.")
        if any(plain == suffix or plain.endswith("." + suffix) for suffix in _LOCAL_SUFFIXES):
            raise _Refused("name", "The host is a name that only means something inside a network.")
    return False


def _addresses(parts: _Parts, resolve: Callable[[str], list[str]], trusted: bool) -> tuple[str, ...]:
    """The checked addresses of the host, at least one; raises _Refused when any answer is bad."""
    if parts.literal is not None:
        answers: list[object] = [str(parts.literal)]
    else:
        try:
            answers = list(islice(resolve(parts.host or ""), _MOST_ANSWERS + 1))
        except Exception as error:  # noqa: BLE001 - a resolver may fail in any way, and a guard never raises
            answered = isinstance(error, socket.gaierror) and error.errno in _NO_SUCH_NAME
            ours = isinstance(error, OSError) and not answered
            raise _Refused("dns", "The host could not be resolved.", is_ours=ours) from None
        if not answers:
            raise _Refused("dns", "The host has no address.")
        if len(answers) > _MOST_ANSWERS:
            raise _Refused("dns", "The host has an absurd number of addresses.")
    checked: dict[str, None] = {}
    for answer in answers:
        address = parse_address(answer)
        if address is None:
            raise _Refused("address", "The resolver gave something that is not an address.")
        meaning = None if trusted else why_refused(address)
        if meaning is not None:
            made_up = parts.literal is None and is_synthetic(address)
            raise _Refused("address", f"The host leads to {address}: {meaning}.", is_ours=made_up)
        checked[str(address)] = None
    return tuple(checked)
