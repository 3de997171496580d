"""Secrets under a name: ``name=value``, ``"name": "value"``, records of name and value, options of a command."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice

from video_assets.urls.redact.headers import QUOTE, hide_cookies
from video_assets.urls.schemes.secret_names import (
    LIKELY_NAMES,
    SECRET_NAMES,
    bare_name,
    is_harmless,
    is_likely_secret,
    is_named_secret,
    is_secret,
    secret_offset,
)
from video_assets.urls.syntax.parts import percent_decode
from video_assets.urls.syntax.tokens import MARKER, is_random

_NAME = r"[A-Za-z_][A-Za-z0-9_.\-]{0,63}+"
_EQUALS = r"(?:[ \t]{0,2}=[ \t]{0,2}|%(?:25){0,6}3[dD]|\\{1,4}u003[dD]|\\{1,4}x3[dD]|&#(?:61|x3[dD]);)"
_EDGE = (
    r"(?:(?<![A-Za-z0-9_.\-])|(?<=%[0-9A-Fa-f]{2})|(?<=%25[0-9A-Fa-f]{2})|(?<=%2525[0-9A-Fa-f]{2})"
    r"|(?<=%252525[0-9A-Fa-f]{2})|(?<=\\u[0-9A-Fa-f]{4})|(?<=[\s\"'`]--)|(?<=^--))"
)
# name=value of a query, wherever it stands and however it is escaped
_PAIR = re.compile(
    rf"{_EDGE}({_NAME})({_EQUALS}\[?{QUOTE}?)"
    r"((?:(?!%(?:25){0,6}26|\x1b\[)[^\s\"'<>&;,\\)}\]|`]|&#(?:43|61|47);)+)"
)
_INNER_NAME = re.compile(rf"(?<![A-Za-z0-9_.\-])({_NAME})=(?=[^=])")
_CODE = re.compile(r"[(\[{$]|\.[A-Za-z_]|::|->")
_MOST_INNER_NAMES = 8
_PASSWORD_WORD = re.compile(r"(?:ass(?:wd|wo|ph)|ASS(?:WD|WO|PH)|ecret|ECRET)")
# password="four words of a passphrase"
_PHRASE = re.compile(
    rf"((?:passw(?:or)?d|passphrase|PASSW(?:OR)?D|PASSPHRASE|secret|SECRET){QUOTE}?\s{{0,2}}(?:=>|[:=])\s{{0,2}}b?"
    r"(?P<q>\\{0,7}[\"']))((?:(?!(?<!\\)(?P=q))[^\r\n]){4,512})(?<!\\)(?=(?P=q))"
)
# "name": "value" of JSON, of a Python repr, of a header list, of parse_qs; name: value of a header line;
# 'name' => 'value' of Ruby and PHP; name:[value] of Go
_MEMBER = re.compile(
    rf"(?<![A-Za-z0-9_.\-])({_NAME})"
    rf"({QUOTE}?(?:\s{{0,3}}[:,]\s{{0,3}}(?:\[\s{{0,3}})?b?{QUOTE}|:(?!//)\s{{0,3}}\[?"
    rf"|{QUOTE}?\]\s{{0,3}}=\s{{0,3}}b?{QUOTE}"
    rf"|\]?\s{{0,3}}=>\s{{0,4}}(?:string\([0-9]{{1,6}}\) )?b?{QUOTE}?))"
    r"([^\s\"'<>,;\\)}\]`]+(?: [^\s\"'<>,;\\)}\]`]+)?)"
)
# | name | value | of a table; name and value with a tab or a line end between them, as developer tools copy them
_CELL = re.compile(
    rf"(?<![^\s|`])({_NAME})(`?[ \t]{{0,40}}(?:\|[ \t]{{0,3}}|\t|:?[ \t]?\r?\n[ \t]{{0,40}})`?)"
    r"([A-Za-z0-9+/=_.\-%~]{16,}+)(?![^\s|`])"
)
# <SignatureProvided>value</...> of the clouds' error bodies
# (a "+" of base64 may have become a blank)
_ELEMENT = re.compile(r"<([A-Za-z][A-Za-z0-9_.\-]{0,63})>([^<>\s]{4,}(?: [^<>\s]{4,}){0,3})(?=</)")
# {"name": "X-Api-Key", "value": "..."} of HAR files, Postman collections and container settings
_FIELD = r"(?:\s{{0,3}},\s{{0,9}}{q}\w{{1,20}}{q}\s{{0,3}}:\s{{0,3}}(?:{q}[^\"'\\]{{0,64}}{q}|\w{{1,10}})){{0,2}}"
_RECORD = re.compile(
    rf"(?P<before>(?P<q>\\{{0,7}}[\"'])(?:name|key|Name|Key)(?P=q)\s{{0,3}}:\s{{0,3}}(?P=q)(?P<name>{_NAME})(?P=q)"
    rf"{_FIELD.format(q='(?P=q)')}\s{{0,3}},\s{{0,9}}(?P=q)[vV]alue(?P=q)\s{{0,3}}:\s{{0,3}}(?P=q))"
    r"(?P<value>(?:(?!(?<!\\)(?P=q))[^\r\n]){1,16384})"
)
_RECORD_BACKWARDS = re.compile(
    r"(?P<before>(?P<q>\\{0,7}[\"'])[vV]alue(?P=q)\s{0,3}:\s{0,3}(?P=q))"
    r"(?P<value>(?:(?!(?<!\\)(?P=q))[^\r\n]){1,16384})"
    rf"(?P<after>(?P=q)\s{{0,3}},\s{{0,9}}(?P=q)(?:name|key|Name|Key)(?P=q)\s{{0,3}}:\s{{0,3}}(?P=q)"
    rf"(?P<name>{_NAME})(?P=q))"
)
_RECORD_OF_LINES = re.compile(
    rf"(?P<before>name:[ \t]{{1,3}}{QUOTE}?(?P<name>{_NAME}){QUOTE}?[ \t]{{0,3}}\r?\n[ \t]{{0,40}}"
    rf"value:[ \t]{{1,3}}{QUOTE}?)"
    r"(?P<value>[^\s\"']+)"
)
# --api-key value: an option of a command
_OPTION = re.compile(rf"(--(?<![^\s\"'`\[(,]--){_NAME})({QUOTE}?,?[ \t]{{1,3}}{QUOTE}?)([^\s\"'<>\\,;)}}\]`]+)")
_USER_OPTION = re.compile(
    rf"(-(?<!\S-)(?:u|-user|-proxy-user)[ =]{QUOTE}?[^\s:\"'\\]{{0,256}}:)([^\s\"'\\]{{1,1024}})"
)
_COOKIE_OPTION = re.compile(
    r"(-(?<!\S-)(?:b|-cookie)[ =](\\{0,7}[\"'])?)((?(2)[^\"'\\\r\n]|[^\s\"'\\]){3,16384})"
)
# auth=('user', 'password') of requests, HTTPBasicAuth('user', 'password')
_AUTH_TUPLE = re.compile(
    rf"(uth(?:=|': )?\(\s?b?{QUOTE}[^\s\"'\\]{{0,256}}{QUOTE},\s?b?{QUOTE})([^\s\"'\\]{{1,1024}})"
)


def hide_named(text: str) -> str:
    """The text without the values whose names promise a secret."""
    if ("'" in text or '"' in text) and _PASSWORD_WORD.search(text):
        text = _PHRASE.sub(_hide_phrase, text)
    if "=" in text or "%" in text or "\\" in text or "&#" in text:
        text = _PAIR.sub(_hide_pair, text)
    if ":" in text or "'" in text or '"' in text or "=>" in text:
        text = _MEMBER.sub(_hide_member, text)
    if 'alue"' in text or "alue'" in text or "alue\\" in text:
        text = _RECORD.sub(_hide_record, text)
        text = _RECORD_BACKWARDS.sub(_hide_record, text)
    if "value: " in text:
        text = _RECORD_OF_LINES.sub(_hide_record, text)
    if "|" in text or "\t" in text or "\n" in text:
        text = _CELL.sub(_hide_cell, text)
    if "</" in text:
        text = _ELEMENT.sub(_hide_element, text)
    if "uth" in text and "(" in text:
        text = _AUTH_TUPLE.sub(rf"\1{MARKER}", text)
    return _hide_options(text) if "-" in text else text


def pair_secrets(text: str) -> Iterator[tuple[int, int]]:
    """Where the values stand that ``hide_named`` hides of every ``name=value``."""
    for match in _PAIR.finditer(text):
        shown = _hide_pair(match)
        at = shown.rfind(MARKER)
        if shown != match.group() and at >= 0:
            yield match.start() + at, match.end() - (len(shown) - at - len(MARKER))


def _name_of(match: re.Match[str]) -> str:
    """The name, without the last letter of a line end that a dump spells in front of it: ``\\nX-Api-Key``."""
    name = match[1]
    if name[0] in "rnt" and match.string[match.start() - 1 : match.start()] == "\\" and len(name) > 1:
        bare = bare_name(name)
        return name if bare in SECRET_NAMES or bare in LIKELY_NAMES else name[1:]
    return name


def _hide_phrase(match: re.Match[str]) -> str:
    is_phrase = " " in match[3] and MARKER not in match[3] and not match[3].startswith("-----BEGIN")
    return match[1] + MARKER if is_phrase else match.group()


def _hide_pair(match: re.Match[str]) -> str:
    name, equals, value = match.groups()
    before, after = name + equals, ""
    if "/" in value and match.string[match.start() - 1 : match.start()] == "/":
        value, slash, after = value.partition("/")  # of a segment of a path, what follows are others
        after = slash + after
    if name[0] in "rnt":
        name = _name_of(match)
    is_named = is_secret(name, percent_decode(value))
    if "=" in value and (inner := _hide_inner(value, equals[-1] in "\"'`;", is_named)) != value:
        return before + inner + after
    if not is_named or value.startswith("-----BEGIN"):
        return match.group()
    if equals != equals.strip() and not (is_random(value, least=8) or _is_setting(value) or _is_in_query(match)):
        return match.group()  # "signature = None" is a sentence or code, not a query
    return before + value[: secret_offset(value)] + MARKER + after


def _is_setting(value: str) -> bool:
    """True for what a file of settings may hold behind ``name =`` and neither code nor a sentence does."""
    return _CODE.search(value) is None and any(character.isdigit() for character in value)


def _is_in_query(match: re.Match[str]) -> bool:
    """True where blanks stand around the signs of a query: ``? sig = ... & se = ...``."""
    text = match.string
    before = text[max(0, match.start() - 4) : match.start()].rstrip()
    return before.endswith(("?", "&")) or text[match.end() : match.end() + 4].lstrip().startswith("&")


def _hide_inner(value: str, is_quoted: bool, is_named: bool) -> str:
    """href="https://...?token=...", query='token=...'; body=client_secret=..., exp=...~hmac=..."""
    if is_quoted:
        return _PAIR.sub(_hide_innermost, value)
    if not is_named:
        for found in islice(_INNER_NAME.finditer(value), _MOST_INNER_NAMES):
            if is_secret(found[1], value[found.end() :]):
                return value[: found.end()] + MARKER
    return value


def _hide_innermost(match: re.Match[str]) -> str:
    name, equals, value = match.groups()
    return f"{name}{equals}{MARKER}" if is_secret(name, value) else match.group()


def _hide_member(match: re.Match[str]) -> str:
    name, between, value = match.groups()
    before, after = name + between, ""
    name = _name_of(match)
    word, blank, rest = value.partition(" ")
    if rest.startswith(MARKER):
        return match.group()  # a scheme word, and its credentials are hidden already
    if blank and word.lower() in _AUTHORIZATION_WORDS:
        before, value = before + word + blank, rest
    elif blank and (between[-1].isspace() or between[-1] in ":["):  # the next word is not part of the value
        value, after = word, blank + rest
    if not _is_member_secret(bare_name(name), before, value):
        return match.group()
    return f"{before}{value[: secret_offset(value)]}{MARKER}{after}"


_AUTHORIZATION_WORDS = frozenset({"bearer", "basic", "token", "key", "apikey", "digest"})


def _hide_element(match: re.Match[str]) -> str:
    name, value = match.groups()
    return f"<{name}>{MARKER}" if is_secret(name, value.replace(" ", "+")) else match.group()


def _hide_cell(match: re.Match[str]) -> str:
    name, between, value = match.groups()
    is_shown = not is_random(value, least=16) or not is_secret(name, value)
    return match.group() if is_shown else f"{name}{between}{MARKER}"


def _hide_record(match: re.Match[str]) -> str:
    name, value = bare_name(match["name"]), match["value"]
    after = match["after"] if "after" in match.re.groupindex else ""
    if name.endswith("cookie"):
        return match["before"] + hide_cookies(value) + after
    if is_harmless(name, value) or not (is_named_secret(name, value) or is_likely_secret(name, value)):
        return match.group()
    return match["before"] + MARKER + after


def _is_member_secret(name: str, before: str, value: str) -> bool:
    if is_harmless(name, value) or value.startswith("-----BEGIN"):
        return False
    if name.endswith("cookie") and "=" in value:
        return False  # its pairs have been looked at one by one
    is_close = before.endswith((":", ":["))  # a canonical header, or any two things with a colon between them
    if is_named_secret(name, value):
        if is_close:
            return is_random(value)
        # "token: expired" is a sentence; what is quoted or holds a digit is a value
        return (
            before[-1] in "\"'`" or any(character.isdigit() for character in value) or is_random(value, least=6)
        )
    if is_close and (not is_random(value, least=16) or (name in LIKELY_NAMES and "token" not in name)):
        return False
    return is_likely_secret(name, value)


def _hide_options(text: str) -> str:
    if "--" in text:
        text = _OPTION.sub(_hide_option, text)
    if "-u" in text and ":" in text:
        text = _USER_OPTION.sub(_hide_user, text)
    if "-b" in text or "--cookie" in text:
        text = _COOKIE_OPTION.sub(lambda match: match[1] + hide_cookies(match[3]), text)
    return text


def _hide_option(match: re.Match[str]) -> str:
    option, between, value = match.groups()
    # "--password is required": a word of a sentence; "--token $TOKEN": no value yet
    is_word = value.isalpha() and not is_random(value, least=8)
    if is_word or value.startswith(("-", "$", "{", "%", "*")) or option == "--cookie":
        return match.group()
    return f"{option}{between}{MARKER}" if is_secret(option, value) else match.group()


def _hide_user(match: re.Match[str]) -> str:
    before, password = match.groups()
    # "docker run -u 1000:1000", "-u node:node"
    is_command = "curl" in match.string or "://" in match.string
    if password.isdigit() or MARKER in password or password.startswith(("$", "{", "<")):
        return match.group()
    if is_command or is_random(password, least=6):
        return before + MARKER
    return match.group()
