"""Headers that carry credentials, wherever a text shows them: Authorization, cookies, signatures of webhooks.

What such a header says is not one value under one name: a scheme word stands before the credentials, a cookie
holds many pairs, and the text may be a header line, a dump of curl or http.client, JSON or the repr of a dict.
"""

from __future__ import annotations

import re

from video_assets.urls.schemes.secret_names import secret_offset, words
from video_assets.urls.syntax.tokens import MARKER, is_random

QUOTE = r"(?:\"\"|\\{0,7}[\"'`]|&quot;|&#(?:34|39);|%22)"
"""A quote in any spelling."""

# What stands between the name of a header and its value: "name: value", 'name': b'value', ('name', 'value'),
# {name=[value]}, "name"=>"value". The quote that opens the value is kept: the value ends at the same one.
_BETWEEN = (
    rf"(?:{QUOTE}\s{{0,3}},\s{{0,3}}b?(?={QUOTE})|{QUOTE}?\]?\s{{0,3}}(?:=>|[:=])\s{{0,3}}[\[(]?\s{{0,3}}b?)"
    rf"(?P<quote>{QUOTE})?"
)
_EDGE = r"(?:(?<![A-Za-z0-9].)|(?<=\\[rnt].))"  # behind the first letter: of a dump, "\\r\\n" stands before it
_WORD = r"[^\s\"'<>\\,;)}\]`]+"
_PARAM = r"[A-Za-z][A-Za-z0-9_\-]{0,63}\s?=\s?(?:\\{0,7}\"[^\"\\\n]*+\\{0,7}\"|[^\s,\"'\\)\]}]++)"
_AUTHORIZATION_HEADER = re.compile(
    rf"(?P<before>[aA]{_EDGE}(?:uthorization|UTHORIZATION){_BETWEEN}"
    rf"(?P<scheme>[A-Za-z][A-Za-z0-9_\-]{{0,40}})(?:[ \t+]|%(?:25){{0,6}}20)+)"
    rf"(?(quote)(?P<whole>(?:(?!(?<!\\)(?P=quote))[^\r\n]){{1,16384}})"
    rf"|(?P<open>{QUOTE}?)(?P<list>{_PARAM}(?:,\s{{0,3}}{_PARAM})*|{_WORD})(?P<more>(?:[ \t]{_WORD}){{0,6}}))"
)
_SCHEMES = words(
    """
    bearer basic digest negotiate ntlm kerberos hawk mac oauth token apikey api-key key dpop bot jwt hoba scram
    aws oss obs cos nos kss ks3 bce qiniu qbox goog1 sharedkey sharedkeylite sharedaccesssignature signature
    aws4-hmac-sha256 aws4-ecdsa-p256-sha256 tc3-hmac-sha256 tos4-hmac-sha256 oss4-hmac-sha256
    goog4-hmac-sha256 goog4-rsa-sha256 hmac-sha256
    """
)
_WORDS_OF_SENTENCES = words(
    """
    token tokens header headers auth authentication authorization scheme schemes realm required missing invalid
    expired none null not is or and was the for with failed rejected credentials key keys only
    """
)
_PLACEHOLDER = re.compile(r"\$\{?[\w.]+\}?|\{\{?[\w. ]*\}{0,2}|<[\w. \-]+>|%\(?\w{0,40}\)?s|\*+|\.{3}|…")
_LEAST_LOWER_CASE = 16  # letters of one case alone: shorter ones are words

_COOKIES = re.compile(
    rf"([cC]{_EDGE}(?:ookie|OOKIE)2?{_BETWEEN})"
    r"(?=[^\s=;,\"'\\]{1,128}=)((?:[^\r\n\"'\\]|\\(?![rn\"'\\])){3,16384})"
)
_COOKIE = re.compile(r"(?<![^\s;,])([^\s=;,\"']{1,128})=([^\s;,\"'\\\]})]+)")
_COOKIE_ATTRIBUTES = words("path domain expires max-age samesite priority secure httponly version partitioned")
_SESSION_WORDS = ("sess", "sid", "auth", "token", "secret", "jwt")
_LEAST_COOKIE = 4

# Standard Webhooks ("v1,<base64>") and Stripe ("t=...,v1=<hex>"): the version clings to the signature.
_WEBHOOK_SIGNATURE = re.compile(r"(?<![A-Za-z0-9])(v[01]a?(?:[,=]|%2[cC]|%3[dD]))[A-Za-z0-9+/_\-]{32,}+={0,2}")


def hide_headers(text: str) -> str:
    """The text without the credentials of its headers. The scheme word and the names of cookies stay."""
    if "uthorization" in text or "UTHORIZATION" in text:
        text = _AUTHORIZATION_HEADER.sub(_hide_credentials, text)
    if "ookie" in text or "COOKIE" in text:
        text = _COOKIES.sub(lambda match: match[1] + hide_cookies(match[3]), text)
    if ("v1" in text or "v0" in text) and ("ignature" in text or "IGNATURE" in text):
        text = _WEBHOOK_SIGNATURE.sub(rf"\1{MARKER}", text)
    return text


def hide_cookies(cookies: str) -> str:
    """``a=1; sid=...``, attributes of Set-Cookie included, without the values that may open a session."""
    return _COOKIE.sub(_hide_cookie, cookies)


def _hide_cookie(match: re.Match[str]) -> str:
    name, value = match.groups()
    name = name.lower()
    if name in _COOKIE_ATTRIBUTES or len(value) < _LEAST_COOKIE or MARKER in value:
        return match.group()
    is_session = any(word in name for word in _SESSION_WORDS)
    if is_session or any(character.isdigit() for character in value) or is_random(value, least=6):
        return f"{match[1]}={value[: secret_offset(value)]}{MARKER}"
    return match.group()


def _hide_credentials(match: re.Match[str]) -> str:
    scheme = match["scheme"].lower()
    if match["quote"]:
        hides = _is_credential(scheme, match["whole"], is_quoted=True)
        return match["before"] + MARKER if hides else match.group()
    if not _is_credential(scheme, match["list"], is_quoted=bool(match["open"])):
        return match.group()
    more = match["more"].split(" ")[1:]
    while more and is_random(more[0], least=8):
        del more[0]
    return f"{match['before']}{match['open']}{MARKER}{''.join(f' {word}' for word in more)}"


def _is_credential(scheme: str, value: str, *, is_quoted: bool) -> bool:
    if value == MARKER or _PLACEHOLDER.fullmatch(value):
        return False
    first = value.split(" ", 1)[0]
    if scheme not in _SCHEMES:  # "Authorization: required by ...", or a scheme of somebody's own
        return is_random(first, least=8) or (len(value) >= _LEAST_LOWER_CASE and (":" in first or "=" in first))
    if first.isalpha() and (first.islower() or first.isupper()):
        if first.lower() in _WORDS_OF_SENTENCES or len(first) < 4:
            return False
        return len(first) >= _LEAST_LOWER_CASE or (is_quoted and first == value)
    return True
