"""What an entry of the scheme table is made of, and the small readers that most entries are written with."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from video_assets.urls.classify.classification import Bound, Kind
from video_assets.urls.syntax import times as moments
from video_assets.urls.syntax.escapes import Layer, Spelling, peel
from video_assets.urls.syntax.parts import Param, Parts, Span
from video_assets.urls.syntax.tokens import is_signature

ANSWER_PARAMS = ("response-*", "x-id")
"""A download's name and headers: asked for anew with every signature, they say nothing about the file."""
MD5 = r"[0-9a-fA-F]{32}"
MD5_VALUE = re.compile(rf"^(?P<secret>{MD5})$")
HASH_VALUE = re.compile(r"^(?P<secret>[A-Za-z0-9_\-+/]{20,}={0,2})$")
EPOCH_VALUE = re.compile(r"^[1-9][0-9]{9}$")


class Death(NamedTuple):
    """When a URL dies, and how sure that is. ``at`` is None where only the server knows."""

    at: datetime | None
    bound: Bound = Bound.CERTAIN


_HALF_A_NAME = 6
_HALF_A_WORD = 8
"""Letters of a parameter's name that tell whose it is: ``X-Amz-``, ``AWSAcces``."""
Clock = Callable[[Parts], Death]
Test = Callable[[Parts], bool]
Secrets = Callable[[Parts], Iterable[Span]]


def unknown(_: Parts) -> Death:
    """Only the server knows."""
    return Death(None)


def always(_: Parts) -> bool:
    """No further condition."""
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheme:
    """One way of making a URL temporary or secret.

    It is looked at when the first parameter of ``needs``, one of ``any_of``, a host of ``hosts`` or the literal
    ``hint`` shows up. It holds when every condition it names is met and ``when`` agrees.
    """

    name: str
    source: str
    """Where the facts come from."""
    needs: tuple[str, ...] = ()
    """Parameters that must all be there, lower case, the most telling first."""
    any_of: tuple[str, ...] = ()
    """Parameters of which one is enough to have a look."""
    hosts: tuple[str, ...] = ()
    """Hosts, each with all names below it."""
    hint: str = ""
    """A literal that the URL must hold."""
    jwt: bool = False
    """Needs a JSON Web Token; its ``exp`` is the expiry and the token is the secret."""
    digest: bool = False
    """Needs a segment of the path that looks like a digest beside one that looks like a time."""
    long_value: bool = False
    """Needs a parameter whose value is long enough for a key."""
    named: bool = False
    """Needs a parameter whose name promises a secret."""
    userinfo: bool = False
    """Needs something before an ``@`` in the authority."""
    when: Test = always
    expires: Clock = unknown
    secret: tuple[str | Secrets, ...] = ()
    """Parameter names whose values are secret, or functions that name spans."""
    volatile: tuple[str, ...] = ()
    """Parameters that change with every signing, besides ``needs`` and ``secret``; ``x-amz-*`` is a prefix,
    ``*expires`` an ending."""
    volatile_path: re.Pattern[str] | None = None
    """What of the path belongs to the signature: its group ``cut``, or the groups ``time`` and ``secret``."""
    lists: tuple[str, ...] = ()
    """Parameters whose values are lists: a separator in one of them is its own."""
    kind: Kind = Kind.TEMPORARY
    retention: timedelta | None = None
    """How long the host keeps a file, counted from its creation."""
    bound: Bound = Bound.UPPER
    """For a retention: how the end relates to it. A row is younger than its file, so the file may end sooner."""
    fallback: bool = False
    """A guess by names and shapes: holds only for secrets that no more precise entry explains."""
    host_like: re.Pattern[str] | None = None
    """What a host of ``hosts`` must look like besides, in lower case."""
    begins: tuple[str, ...] = ()
    """Parameters by each of which a URL of this scheme is known although it was cut off: its signer alone writes
    them. A name may begin with ``*``; then it is the end of one that ``begins_when`` looks at."""
    begins_when: Test = always
    """A further condition for that, where others write such a parameter too."""
    cut: tuple[tuple[str, Callable[[str], bool]], ...] = ()
    """Parameters that may be the last of the URL, each with a test whether its value (decoded) broke off."""

    def holds(self, parts: Parts) -> bool:
        """True when ``parts`` is a URL of this scheme."""
        return (
            parts.has(*self.needs)
            and (not self.hosts or parts.on_host(*self.hosts))
            and (self.host_like is None or self.host_like.search(parts.host) is not None)
            and (not self.hint or self.hint in parts.text)
            and (not self.jwt or bool(parts.jwts))
            and (not self.userinfo or parts.userinfo is not None)
            and self.when(parts)
        )

    def is_named_by_half(self, name: str) -> bool:
        """True when ``name`` can only be the first letters of a parameter that this scheme is known by."""
        return (
            self.begins_when is always
            and len(name) >= (_HALF_A_NAME if "-" in name else _HALF_A_WORD)
            and any(whole.startswith(name) for whole in self.begins)
        )

    def has_begun(self, parts: Parts) -> bool:
        """True when ``parts``, which is no whole URL of this scheme, can only be the beginning of one."""
        return (
            (
                any(name in parts.params for name in self.begins if not name.startswith("*"))
                or any(name.startswith("*") for name in self.begins)
            )
            and (not self.hosts or parts.on_host(*self.hosts))
            and self.begins_when(parts)
        )

    def is_cut(self, parts: Parts) -> bool:
        """True when ``parts``, for which this scheme holds, broke off in its last parameter."""
        if self.jwt:
            return any(token.is_cut for token in parts.jwts)
        last = parts.last
        if last is None or last.end < len(parts.text):
            return False
        if parts.text[last.value_start - 1] != "=":  # not even its name is whole
            known = (*self.needs, *self.secret, *self.volatile)
            return any(
                isinstance(name, str)
                and (name.startswith(last.name) or (name[-1] == "*" and last.name.startswith(name[:-1])))
                for name in known
            )
        return any(
            (name == last.name or (name[0] == "*" and last.name.endswith(name[1:]))) and broke_off(last.value)
            for name, broke_off in self.cut
        )

    def death_of_beginning(self, parts: Parts) -> Death:
        """When a URL that was cut off dies: by what stands before its last parameter, which may not be whole."""
        if self.jwt:
            return self.death(parts)
        text, last = parts.text, parts.last
        return Death(None) if last is None else self.expires(Parts(text[: last.start].rstrip("&?")))

    def death(self, parts: Parts) -> Death:
        """When the URL dies, as far as it tells."""
        if self.jwt:
            return Death(moments.earliest(*(token.expires_at for token in parts.jwts)))
        return self.expires(parts)

    def kind_of(self, parts: Parts) -> Kind:
        """A token without an end is a credential; everything else is what the entry says."""
        if self.jwt and self.retention is None and all(token.expires_at is None for token in parts.jwts):
            return Kind.CREDENTIAL_ONLY
        return self.kind

    def secret_spans(self, parts: Parts) -> list[Span]:
        """Where the secrets stand."""
        spans = [(token.start, token.end) for token in parts.jwts] if self.jwt else []
        for secret in self.secret:
            if isinstance(secret, str):
                spans += [param.span for param in parts.params.get(secret, ()) if param.raw]
            else:
                spans += secret(parts)
        return spans

    def is_volatile(self, name: str) -> bool:
        """True when the parameter ``name`` belongs to the signature, not to the file."""
        if name in self.needs or name in self.secret:
            return True
        for pattern in self.volatile:
            if pattern[0] == "*":
                if name.endswith(pattern[1:]):
                    return True
            elif name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern:
                return True
        return False

    def volatile_spans(self, parts: Parts) -> list[Span]:
        """Where the path holds the signature and its time."""
        if self.volatile_path is None:
            return []
        spans = []
        for match in self.volatile_path.finditer(parts.path):
            groups = match.re.groupindex
            wanted = ("cut",) if "cut" in groups else ("time", "secret")
            found = (match.span(group) for group in wanted if group in groups)
            spans += [(parts.path_start + start, parts.path_start + end) for start, end in found if start >= 0]
        return spans


BLANKS = "+ \t\r\n"
"""A plus is how queries write a blank; servers take both off a number or a date."""


def time_text(parts: Parts, name: str) -> str:
    """The value of a parameter that holds a time, without stray blanks around it; empty where it is missing."""
    return (parts.first(name) or "").strip(BLANKS)


# --- clocks -----------------------------------------------------------------------------------------------------


def epoch(name: str, *, bound: Bound = Bound.CERTAIN, upper_with: str = "") -> Clock:
    """The parameter holds an epoch (or a date) that is the end; ``upper_with`` names a session token."""

    def clock(parts: Parts) -> Death:
        return Death(
            moments.parse_any(time_text(parts, name)),
            Bound.UPPER if upper_with and parts.has(upper_with) else bound,
        )

    return clock


def hex_epoch(name: str) -> Clock:
    """The parameter holds the end as a hexadecimal epoch."""
    return lambda parts: Death(moments.parse_hex_epoch(time_text(parts, name)))


def earliest_of(*names: str, upper_with: str = "") -> Clock:
    """The earliest of the times that the parameters hold; ``upper_with`` names what may end it sooner."""

    def clock(parts: Parts) -> Death:
        end = moments.earliest(*(moments.parse_any(time_text(parts, name)) for name in names))
        return Death(end, Bound.UPPER if end and upper_with and parts.has(upper_with) else Bound.CERTAIN)

    return clock


def date_plus_seconds(date: str, seconds: str, *, upper_with: str = "") -> Clock:
    """A date and a number of seconds after it; with a session token the session may end first.

    Where no date stands beside it, a number that is too large for a duration is the end itself.
    """

    def clock(parts: Parts) -> Death:
        written = time_text(parts, seconds)
        if parts.has(date):
            end = moments.add(moments.parse_iso(time_text(parts, date)), moments.parse_seconds(written))
        else:
            absolute = moments.parse_epoch(written)
            end = absolute if moments.is_plausible(absolute) else None
        return Death(end, Bound.UPPER if upper_with and parts.has(upper_with) else Bound.CERTAIN)

    return clock


def shaped_time(
    names: tuple[str, ...], shape: re.Pattern[str], *, base: int = 10, bound: Bound = Bound.CERTAIN
) -> Clock:
    """Group ``time`` of the first parameter whose decoded value has this shape."""

    def clock(parts: Parts) -> Death:
        for param in params_of(parts, names):
            if match := shape.search(param.value):
                return Death(read_time(match["time"], base), bound)
        return Death(None)

    return clock


def path_time(shape: re.Pattern[str], *, base: int = 10, bound: Bound = Bound.CERTAIN) -> Clock:
    """Group ``time`` of a shape in the path."""

    def clock(parts: Parts) -> Death:
        match = shape.search(parts.path)
        return Death(read_time(match["time"], base) if match else None, bound)

    return clock


def read_time(text: str, base: int = 10) -> datetime | None:
    """An epoch of the given base; in base 16 ten plain digits are still decimal, as no hex epoch is that long."""
    if base == 16 and not (len(text) == 10 and text.isdigit()):
        return moments.parse_hex_epoch(text)
    return moments.parse_any(text)


def decimal_or_hex(text: str) -> datetime | None:
    """Ten digits are a decimal epoch, eight hex digits a hexadecimal one."""
    return read_time(text, 10 if len(text) == 10 and text.isdigit() else 16)


# --- tests ------------------------------------------------------------------------------------------------------


def params_of(parts: Parts, names: tuple[str, ...]) -> Iterable[Param]:
    """All parameters of these names; of all names when none is given."""
    if not names:
        return (param for found in parts.params.values() for param in found)
    return (param for name in names for param in parts.params.get(name, ()))


def shaped(names: tuple[str, ...], shape: re.Pattern[str]) -> Test:
    """Some parameter of these names (of any, when empty) has a decoded value of this shape."""
    return lambda parts: any(shape.search(param.value) for param in params_of(parts, names))


def timely(name: str, *, read: Callable[[str], datetime | None] = moments.parse_any) -> Test:
    """The parameter holds a time, not a word or a small number."""
    return lambda parts: moments.is_plausible(read(time_text(parts, name)))


def signed(secret: str, time: str, *, read: Callable[[str], datetime | None] = moments.parse_any) -> Test:
    """For names that anybody may use: the time is one, or only a machine can have drawn the secret."""
    is_timely = timely(time, read=read)
    return lambda parts: is_timely(parts) or is_signature(parts.first(secret) or "")


def in_path(shape: re.Pattern[str]) -> Test:
    """The path has this shape somewhere."""
    return lambda parts: shape.search(parts.path) is not None


def with_any(*names: str) -> Test:
    """One of the parameters is there."""

    def test(parts: Parts) -> bool:
        for name in names:  # noqa: SIM110  a generator would cost more than the search
            if parts.has(name):
                return True
        return False

    return test


def without(*names: str) -> Test:
    """None of the parameters is there."""
    return lambda parts: not any(parts.has(name) for name in names)


def on(*domains: str) -> Test:
    """The host is one of these or below one."""
    return lambda parts: parts.on_host(*domains)


def both(*tests: Test) -> Test:
    """All tests agree."""

    def test(parts: Parts) -> bool:
        for each in tests:  # noqa: SIM110
            if not each(parts):
                return False
        return True

    return test


def either(*tests: Test) -> Test:
    """One of the tests agrees."""
    return lambda parts: any(test(parts) for test in tests)


# --- secrets ----------------------------------------------------------------------------------------------------


def shaped_secret(names: tuple[str, ...], shape: re.Pattern[str]) -> Secrets:
    """Group ``secret`` of every parameter of this shape, where it stands in the undecoded value."""

    def spans(parts: Parts) -> Iterable[Span]:
        for param in params_of(parts, names):
            value, edits = peel(Layer.PERCENT, param.raw)
            if match := shape.search(value):
                start, end = Spelling(param.raw, value, (Layer.PERCENT,), (edits,)).raw_span(
                    *match.span("secret")
                )
                yield param.value_start + start, param.value_start + end

    return spans


def values_of(*names: str) -> Secrets:
    """The values of parameters whose names say nothing outside of their scheme."""
    return lambda parts: [param.span for param in params_of(parts, names) if param.raw]


def path_secret(shape: re.Pattern[str]) -> Secrets:
    """Group ``secret`` of every place in the path that has this shape."""

    def spans(parts: Parts) -> Iterable[Span]:
        for match in shape.finditer(parts.path):
            start, end = match.span("secret")
            yield parts.path_start + start, parts.path_start + end

    return spans
