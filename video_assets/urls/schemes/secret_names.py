"""Names that promise a secret, of parameters, headers and settings, and what such a value must look like.

One table for two questions: what ``redact`` hides under a name of a URL, ``classify`` calls a credential.
"""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import product

from video_assets.urls.schemes.signed import SIGNED
from video_assets.urls.syntax.placeholders import is_placeholder
from video_assets.urls.syntax.tokens import MARKER, is_key, is_random, is_short_key


def words(text: str) -> frozenset[str]:
    """The words of a text that is a list of them."""
    return frozenset(text.split())


def spellings(*names: str) -> tuple[str, ...]:
    """Each name of words joined by nothing, ``_`` or ``-``: parameter names are compared in lower case."""
    return tuple(dict.fromkeys(joint.join(name.split()) for name, joint in product(names, ("", "_", "-"))))


API_KEY_NAMES = spellings(
    *("key", "api key", "access key", "secret key", "auth key", "app key", "private key", "subscription key"),
    *("token", "access token", "api token", "auth token", "private token", "session token", "bearer token"),
    *("user token", "job token", "personal access token", "download token", "file token", "id token"),
    *("refresh token", "login token", "secret", "client secret", "app secret", "api secret", "consumer secret"),
    *("webhook secret", "password", "passwd", "pwd", "auth", "authorization", "bearer", "credential"),
    *("credentials", "apitoken", "x api key", "x goog api key", "xi api key", "x auth token", "x access token"),
    *("x subscription token", "ocp apim subscription key", "code key", "functions key", "sv token"),
    *("oauth token", "jwt", "rlsecret"),
)

LIKELY_NAMES = frozenset(API_KEY_NAMES) | words(
    """
    token key sign policy auth oh hm _upt secure verify credential credentials sv-token code st t s e a h
    md5 hash download_token file_token user_token bearer nonce x-token ticket license_key
    """
)
"""Names whose value is secret when it looks drawn by a machine."""

_SHORT_KEY_NAMES = frozenset(API_KEY_NAMES)

_CHECKSUM_NAMES = words("md5 hash t s e a h st nonce")
"""Secret inside a URL that the table knows; in plain text they are checksums, counters and columns."""

SECRET_NAMES = frozenset(
    name for scheme in SIGNED for name in scheme.secret if isinstance(name, str) and name not in LIKELY_NAMES
) | words(
    """
    security-token _jwt jwt hmac hdnts hdnea hdntl __token__ __cld_token__ __gda__ bcdn_token
    edge-cache-token auth_key access_token accesstoken access-token refresh_token refreshtoken auth_token
    authtoken auth-token session_token sessiontoken session-token private_token private-token api_key apikey
    api-key x-api-key xi-api-key x-goog-api-key x-auth-token x-access-token x-subscription-token
    subscription-key ocp-apim-subscription-key client_secret clientsecret client-secret secret secret_key
    secretkey app_secret api_secret signing_key signing-secret webhook_secret webhook-secret password passwd
    pwd passphrase cloudfront-signature cloudfront-policy aws_secret_access_key aws_session_token
    secretaccesskey authorization proxy-authorization x-registry-auth csrf_token csrftoken jsessionid
    phpsessid sessionid session_id set-cookie cookie rlkey q-signature accountkey account_key sharedaccesskey
    private_key privatekey private-key azure_storage_key x-amz-server-side-encryption-customer-key
    code_verifier samlresponse samlrequest db_pass db_pwd smtp_pass mysql_pwd user_pass
    """
)
"""Names whose value is secret whatever it looks like: those of the scheme table, of headers and of settings."""

_CHOSEN_NAMES = words(
    """
    secret client_secret clientsecret client-secret app_secret api_secret secret_key secretkey signing-secret
    webhook_secret webhook-secret password passwd pwd passphrase db_pass db_pwd smtp_pass mysql_pwd user_pass
    """
)
"""Of the secret names those whose value a person may have chosen: it can be any word."""

_HARMLESS_NAMES = words(
    """
    x-amz-credential x-amz-signedheaders x-goog-signedheaders page_token pagetoken next_token nexttoken
    next_page_token nextpagetoken continuation_token continuationtoken token_type tokentype token_path
    token_countries max_tokens total_tokens prompt_tokens completion_tokens tokens token_count
    signature_version signatureversion x-oss-signature-version signaturemethod signature_method token-time
    token_expires secret_name secret_id idempotency_token client_token clienttoken sync_token synctoken
    key-pair-id keyname key_name
    """
)
_HARMLESS_VALUES = words(
    "true false null none undefined yes no on off expired invalid missing required valid ok unsigned-payload"
    " bearer basic reset change changed forgot forgotten refresh incorrect wrong"
)
_LEAST_CHOSEN_NUMBER = 10
_ENDS_OF_NAMES = ("password", "passwd", "passphrase", "_api_key", "-api-key", "_apikey", "_secret", "_secret_key")
"""Of settings and environment variables: ``DATABASE_PASSWORD``, ``RUNWAYML_API_SECRET``."""
_PART_OF_NAMES = re.compile(r"token|secret|passw|signature|api[_\-]?key|hmac")
_NO_SECRET_ITSELF = re.compile(
    r"""
    (?:^|[_\-$.])(?:page|next|prev|previous|skip|cont|continuation|resumption|sync|cursor|paging|pagination)
        [_\-]?token$
    | (?:token|secret|signature|hmac|api[_\-]?key)s?[_\-]?
        (?:ids?|names?|types?|version|algorithm|method|symbol|address|count|limit|mint|standard|decimals|amount
        |supply|expires?|expiry|expiration|exp|time|ttl|url|uri|path|scope|status|valid|length|format)$
    """,
    re.VERBOSE,
)
"""Where one goes on in a list of pages, or what somebody says about a token."""
_MADE_OF_SECRETS = re.compile(
    r"(?:secret|auth|access|session|api|bearer|[cx]srf|private|refresh|webhook|signing|admin|deploy|login|user)"
    r"[_\-]?(?:token|secret|signature|hmac)$"
)
_NO_WORD = re.compile(r"[^A-Za-z]|[a-z][A-Z]")
_WORD = re.compile(
    r"(?![A-Fa-f]+\Z)(?:[A-Z]?[a-z]{1,7}|[A-Z]{1,7})|[0-9]{1,6}"
    r"|(?i:[hrep]s(?:256|384|512)|(?:hmac[_\-]?)?(?:sha[_\-]?(?:1|224|256|384|512)|md5))"
)
"""A short word, a small number, the name of an algorithm: no machine signs with it."""
_KEYS_OF_THINGS = words("s3 op run job doc tag row map url pk pub sub set")
_ENDS_OF_KEYS_OF_THINGS = (
    *words("""
    idempotency idempotent partition asset cache sort primary foreign public publishable object storage dedup
    deduplication group shard routing hash index unique content media step lookup join file blob upload bucket
    video image item record entity natural business surrogate message event order dict json i18n translation
    locale host composite range state config setting settings feature registry column table label metric schema
    etag digest checksum fingerprint resource task queue topic kafka redis memcache document collection node tree
    path link short thumbnail poster output input source target result artifact backup archive catalog site lock
    lease concurrency limit issue project
    """),
)
"""``partition_key`` names a thing. Any other ``..._key`` may open one: ``FAL_KEY``, ``encryptionKey``."""
# Letters and digits that no word is made of, however orderly; "0x..." is the address of a contract.
_LONG_MIX = re.compile(
    r"(?!0x)(?=[^0-9]*[0-9])(?=[^A-Za-z]*[A-Za-z])(?:[A-Za-z][A-Za-z0-9]{0,7}[_\-]){0,2}[A-Za-z0-9]{20,}"
)
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


_STAND_IN = re.compile(r"[A-Z]+(?:_[A-Z]+)+|(?:some|the|example|dummy|change)(?:[_\- +][a-z]+)+")
"""Words that manuals write where a secret will stand, only under a name that promises one."""
_AKAMAI_MAC = re.compile(r"(?:\A|[~_&])hmac(?:=|%(?:25){0,3}3[dD])(?=.)")
_AKAMAI_FIELDS = re.compile(r"(?:(?:st|exp|acl|url|ip|id|data)(?:=|%(?:25){0,3}3[dD])[^~]*~?)+")


def secret_offset(value: str) -> int:
    """Where in a secret value the secret begins: a token of Akamai names its end and its paths before its MAC."""
    match = _AKAMAI_MAC.search(value)
    return match.end() if match and _AKAMAI_FIELDS.match(value) else 0


def bare_name(name: str) -> str:
    """The name as it is compared: lower case, without the objects it belongs to (``config.token``) or dashes."""
    return name.lower().rpartition(".")[2].lstrip("-")


def is_harmless(name: str, value: str) -> bool:
    """True when there is nothing to hide, whatever the other rules say."""
    return name in _HARMLESS_NAMES or len(value) < 4 or MARKER in value or is_no_value(value)


def is_no_value(value: str) -> bool:
    """True for words and placeholders that stand where a secret would, and for a token without its MAC."""
    return (
        value.lower() in _HARMLESS_VALUES
        or is_placeholder(value)
        or _STAND_IN.fullmatch(value) is not None
        or _AKAMAI_FIELDS.fullmatch(value) is not None
    )


def is_likely_secret(name: str, value: str) -> bool:
    """True when the name allows for a secret and the value looks like one."""
    if _MADE_OF_SECRETS.search(name) and _NO_WORD.search(value) and not value.isdigit():
        return True
    if name in LIKELY_NAMES:
        if name in _CHECKSUM_NAMES:
            return False
        if name in _SHORT_KEY_NAMES and is_short_key(value):
            return True
        return is_key(value) or ("token" in name and _is_long_token(value))
    if name.endswith(_ENDS_OF_NAMES):
        return len(value) >= _LEAST_CHOSEN_NUMBER or not value.isdigit()
    if _PART_OF_NAMES.search(name):
        if _NO_SECRET_ITSELF.search(name):
            return False
        return is_random(value) or _is_long_token(value) or is_short_key(value)
    return name.endswith("key") and _opens_something(name, value)


def _is_long_token(value: str) -> bool:
    return _LONG_MIX.fullmatch(value) is not None or (value[0] == "/" and is_key(value.lstrip("/")))


def _opens_something(name: str, value: str) -> bool:
    """True for the value of ``..._key`` that is a key to something, not the key of a thing."""
    stem = name[: -len("key")].rstrip("_-")
    if not stem or stem.endswith(_ENDS_OF_KEYS_OF_THINGS) or re.split(r"[_\-]", stem)[-1] in _KEYS_OF_THINGS:
        return False
    if _UUID.fullmatch(value) is not None:
        return False  # an identifier
    return is_key(value) or _is_long_token(value) or is_short_key(value)


@lru_cache(maxsize=4096)
def may_name_a_secret(name: str) -> bool:
    """False when no value makes ``is_secret`` of this name (lower case) true."""
    name = bare_name(name)
    if name in SECRET_NAMES or name in LIKELY_NAMES:
        return True
    return name.endswith(("key", *_ENDS_OF_NAMES)) or _PART_OF_NAMES.search(name) is not None


def is_named_secret(name: str, value: str) -> bool:
    """True when the name is one of those whose values are secret whatever they look like, short words aside."""
    return name in SECRET_NAMES and (name in _CHOSEN_NAMES or _WORD.fullmatch(value) is None)


def is_secret(name: str, value: str) -> bool:
    """True when ``name=value`` must not be shown."""
    name = bare_name(name)
    if "/" in value and name not in _HARMLESS_NAMES and _PART_OF_NAMES.search(name):
        first = value.partition("/")[0]  # the token of one segment of a path that goes on
        if is_key(first):
            return True
    return not is_harmless(name, value) and (is_named_secret(name, value) or is_likely_secret(name, value))
