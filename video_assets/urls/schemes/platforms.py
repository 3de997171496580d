"""Signed URLs of single platforms: social networks, video hosts, image services, generators."""

from __future__ import annotations

import re
from datetime import timedelta

from video_assets.urls.classify.classification import Bound, Kind
from video_assets.urls.schemes.beginnings import begins_like, drawn, short_hex, timed
from video_assets.urls.schemes.model import (
    Death,
    Scheme,
    both,
    either,
    epoch,
    hex_epoch,
    in_path,
    on,
    params_of,
    path_secret,
    path_time,
    shaped,
    shaped_secret,
    shaped_time,
    signed,
    with_any,
)
from video_assets.urls.syntax import times as moments
from video_assets.urls.syntax.parts import Parts, Span, percent_decode
from video_assets.urls.syntax.tokens import claim_time, decode_base64, read_json_object

_HEX_8 = re.compile(r"^[4-9a-fA-F][0-9a-fA-F]{7}$")
_GOOGLEVIDEO_PATH = re.compile(r"/expire/(?P<time>[0-9]{10})(?=/)")
_GOOGLEVIDEO_SECRET = re.compile(r"/l?sig(?:nature)?/(?P<secret>[^/]{10,})")
_REDDIT_VIDEO = re.compile(r"^(?P<time>[0-9]{10}),(?P<secret>[A-Za-z0-9+/=_\-]{20,})$")
_AIRTABLE = re.compile(r"^(?:/[^/]{1,20}){2,6}?/(?P<time>[0-9]{13})/(?P<secret>.+)")
_TELEGRAM = re.compile(r"/bot(?P<secret>[0-9]{5,20}(?::|%3[aA])[A-Za-z0-9_\-]{20,})(?=/|$)")
_TELEGRAM_FILE = re.compile(r"^/file/bot[0-9]{5,20}(?::|%3[aA])[A-Za-z0-9_\-]{20,}/")
_RAILS = re.compile(
    r"(?<![A-Za-z0-9+_\-])(?P<secret>(?P<payload>eyJfcmFpbHMi(?:[A-Za-z0-9+_]|-(?!-)|%2[bBfF]){8,}(?:=|%3[dD]){0,2})--(?P<mac>[0-9a-f]{40,128}))"
)
_WEBHOOK = re.compile(
    r"^/(?:api/(?:v[0-9]+/)?webhooks/[0-9]{5,25}|services/T[A-Z0-9]+/B[A-Z0-9]+)/(?P<secret>(?!REDACTED)[A-Za-z0-9_\-]{16,})"
)
_FILESTACK_PATH = re.compile(
    r"/security(?:=|%3[dD])p(?:olicy)?(?::|%3[aA])(?P<policy>(?:[A-Za-z0-9+_=\-]|%3[dD])+)"
    r"(?:,|%2[cC])s(?:ignature)?(?::|%3[aA])(?P<secret>[0-9a-fA-F]{16,})(?=/)"
)
_VIMEO_PATH = re.compile(r"/(?P<time>[0-9]{10})-0x(?P<secret>[0-9a-f]{40,64})(?=/)")


_CHATGPT = re.compile(r"^/backend-api/(?:estuary/)?content$")
_HOURS = re.compile(r"[1-9][0-9]{5}")


def _hours_end(parts: Parts) -> Death:
    """``ts`` counts the hours since 1970; the link lives on from there for a time that only the server knows."""
    text = parts.first("ts") or ""
    return Death(moments.from_epoch(int(text) * 3600) if _HOURS.fullmatch(text) else None, Bound.LOWER)


def _rails_end(parts: Parts) -> Death:
    """The earliest ``exp`` of the signed messages; ``null`` there means the id is for ever."""
    ends = []
    for match in _RAILS.finditer(parts.text):
        message = (read_json_object(decode_base64(percent_decode(match["payload"]))) or {}).get("_rails")
        if isinstance(message, dict):
            ends.append(claim_time(message.get("exp")))
    return Death(moments.earliest(*ends))


def _rails_secret(parts: Parts) -> list[Span]:
    return [match.span("secret") for match in _RAILS.finditer(parts.text)]


def _twitch(parts: Parts) -> Death:
    for param in params_of(parts, ("token", "nauth")):
        claims = read_json_object(param.value)
        if claims is not None:
            return Death(claim_time(claims.get("expires")))
    return Death(None)


def _filestack_end(policy: str) -> Death:
    return Death(claim_time((read_json_object(decode_base64(percent_decode(policy))) or {}).get("expiry")))


def _filestack_has_begun(parts: Parts) -> bool:
    """A policy with an end and no signature behind it, or one that says ``{"expiry"`` first."""
    return _filestack(parts).at is not None or begins_like("policy", "eyJleHBpcnki")(parts)


def _filestack(parts: Parts) -> Death:
    return _filestack_end(parts.first("policy") or "")


def _filestack_path(parts: Parts) -> Death:
    match = _FILESTACK_PATH.search(parts.path)
    return _filestack_end(match["policy"]) if match else Death(None)


def _filestack_path_secrets(parts: Parts) -> list[Span]:
    found = ((match.span("policy"), match.span("secret")) for match in _FILESTACK_PATH.finditer(parts.path))
    return [(parts.path_start + start, parts.path_start + end) for pair in found for start, end in pair]


def _cloudinary(parts: Parts) -> Death:
    if parts.has("expires_at"):
        return epoch("expires_at")(parts)
    made = moments.parse_epoch(parts.first("timestamp") or "")
    return Death(moments.add(made, timedelta(hours=1)))


def _oauth_end(parts: Parts) -> bool:
    return moments.parse_seconds(parts.first("expires_in") or "") is not None


PLATFORMS: tuple[Scheme, ...] = (
    Scheme(
        name="discord",
        source="Discord's signed attachment URLs: ex and is are hexadecimal epochs",
        needs=("hm", "ex"),
        when=shaped(("ex",), _HEX_8),
        expires=hex_epoch("ex"),
        secret=("hm",),
        volatile=("is",),
        begins=("ex", "is"),
        begins_when=both(
            shaped(("ex",), _HEX_8),
            either(
                on("discordapp.com", "discordapp.net"), lambda parts: bool({"is", "hm"} & parts.params.keys())
            ),
        ),
        cut=(("hm", short_hex(64)), ("ex", short_hex(8))),
    ),
    Scheme(
        name="meta",
        source="Facebook, Instagram and WhatsApp media: oe is a hexadecimal epoch",
        needs=("oh", "oe"),
        when=shaped(("oe",), _HEX_8),
        expires=hex_epoch("oe"),
        secret=("oh",),
        volatile=("_nc_*", "ccb", "efg", "edm", "se"),
        begins=("oh", "oe", "_nc_ohc", "_nc_sid", "_nc_cat", "efg"),
        begins_when=on("fbcdn.net", "cdninstagram.com", "whatsapp.net"),
        cut=(("oe", short_hex(8)),),
    ),
    Scheme(
        name="meta_lookaside",
        source="lookaside.fbsbx.com (WhatsApp, Messenger): ext is a decimal epoch",
        needs=("hash", "ext"),
        when=on("fbsbx.com", "facebook.com", "instagram.com", "whatsapp.net", "fbcdn.net"),
        expires=epoch("ext"),
        secret=("hash",),
        begins=("ext",),
        begins_when=both(timed("ext"), on("fbsbx.com")),
    ),
    Scheme(
        name="googlevideo",
        source="seen on googlevideo.com: expire beside sig and lsig (lmt is no expiry)",
        needs=("expire",),
        when=both(
            with_any("sig", "lsig", "signature"),
            either(on("googlevideo.com", "youtube.com", "googleusercontent.com"), with_any("lsig", "sparams")),
        ),
        expires=epoch("expire"),
        secret=("sig", "lsig", "signature"),
        volatile=(
            "ei",
            "ip",
            "mm",
            "mn",
            "ms",
            "mv",
            "mvi",
            "pl",
            "mt",
            "fvip",
            "initcwndbps",
            "met",
            "rms",
            "bui",
            "spc",
            "vprv",
            "svpuc",
            "sparams",
            "lsparams",
            "cpn",
            "rqh",
            "gcr",
            "ns",
            "n",
            "txp",
            "xpc",
            "cnr",
            "redirect_counter",
            "cm2rm",
            "req_id",
            "cms_redirect",
            "cmsv",
        ),
        begins=("expire",),
        begins_when=both(timed("expire"), either(on("googlevideo.com"), with_any("ei", "sparams"))),
    ),
    Scheme(
        name="googlevideo",
        source="seen on googlevideo.com manifests: /expire/<time>/.../sig/<sig>/",
        hint="/expire/",
        when=both(in_path(_GOOGLEVIDEO_PATH), in_path(_GOOGLEVIDEO_SECRET)),
        expires=path_time(_GOOGLEVIDEO_PATH),
        secret=(path_secret(_GOOGLEVIDEO_SECRET),),
        volatile_path=re.compile(r"/(?P<cut>(?:expire|l?sig|ei|ip|mt|initcwndbps)/[^/]+/?)"),
    ),
    Scheme(
        name="runway",
        source="https://docs.dev.runwayml.com/assets/outputs/: _jwt with an exp at midnight UTC",
        needs=("_jwt",),
        jwt=True,
    ),
    Scheme(
        name="runway_upload",
        source="https://docs.dev.runwayml.com: runway:// uploads live 24 hours",
        hint="runway://",
        when=lambda parts: parts.scheme == "runway",
        retention=timedelta(hours=24),
    ),
    Scheme(
        name="supabase",
        source=(
            "https://supabase.com/docs/guides/storage/serving/downloads (signed URLs, also behind custom domains)"
        ),
        hint="/sign/",
        when=in_path(re.compile(r"/(?:object|render/image|upload)/(?:upload/)?sign/")),
        jwt=True,
        begins=("token",),
        begins_when=in_path(re.compile(r"/(?:object|render/image|upload)/(?:upload/)?sign/")),
    ),
    Scheme(
        name="mux",
        source="https://www.mux.com/docs/guides/secure-video-playback",
        hosts=("mux.com",),
        jwt=True,
    ),
    Scheme(
        name="jwplayer",
        source="https://docs.jwplayer.com/platform/docs/protection-studio-generate-jwt-signed-urls",
        hosts=("jwplayer.com", "jwpcdn.com", "jwplatform.com"),
        jwt=True,
    ),
    Scheme(
        name="github_attachment",
        source="seen on private-user-images.githubusercontent.com: jwt of five minutes",
        hosts=("githubusercontent.com",),
        jwt=True,
    ),
    Scheme(
        name="github_raw",
        source="seen on raw.githubusercontent.com: the token of a private file ends within days",
        hosts=("raw.githubusercontent.com",),
        when=with_any("token"),
        secret=("token",),
    ),
    Scheme(
        name="vimeo",
        source="seen on skyfire.vimeocdn.com: /<time>-0x<signature>/",
        hint="-0x",
        when=in_path(_VIMEO_PATH),
        expires=path_time(_VIMEO_PATH),
        secret=(path_secret(_VIMEO_PATH),),
        volatile_path=_VIMEO_PATH,
    ),
    Scheme(
        name="patreon",
        source="seen on patreonusercontent.com: token-time, token-hash",
        needs=("token-hash", "token-time"),
        when=signed("token-hash", "token-time"),
        expires=epoch("token-time"),
        secret=("token-hash",),
        begins=("token-time", "token-hash"),
        begins_when=either(timed("token-time"), drawn("token-hash")),
    ),
    Scheme(
        name="linkedin",
        source="seen on media.licdn.com: e, v, t",
        hosts=("licdn.com",),
        needs=("e", "t"),
        when=signed("t", "e"),
        expires=epoch("e"),
        secret=("t",),
        volatile=("v",),
        begins=("e",),
        begins_when=timed("e"),
    ),
    Scheme(
        name="ittybit",
        source="https://ittybit.com/docs: signed URLs carry expiry and signature",
        hosts=("ittybit.net", "ittybit.com"),
        needs=("signature", "expiry"),
        when=signed("signature", "expiry"),
        expires=epoch("expiry"),
        secret=("signature",),
        begins=("expiry",),
        begins_when=timed("expiry"),
    ),
    Scheme(
        name="reddit_video",
        source="seen on v.redd.it: a=<time>,<signature>",
        needs=("a",),
        when=shaped(("a",), _REDDIT_VIDEO),
        expires=shaped_time(("a",), _REDDIT_VIDEO),
        secret=(shaped_secret(("a",), _REDDIT_VIDEO),),
        volatile=("v", "f"),
    ),
    Scheme(
        name="cloudinary_download",
        source="https://cloudinary.com/documentation/control_access_to_media (private download URLs)",
        needs=("signature", "timestamp", "api_key"),
        expires=_cloudinary,
        secret=("signature",),
        volatile=("expires_at",),
        begins=("api_key", "signature", "timestamp"),
        begins_when=on("api.cloudinary.com"),
    ),
    Scheme(
        name="notion",
        source="seen on file.notion.so: expirationTimestamp in ms, signature",
        needs=("expirationtimestamp", "signature"),
        when=signed("signature", "expirationtimestamp"),
        expires=epoch("expirationtimestamp"),
        secret=("signature",),
        volatile=("downloadname", "spaceid", "table"),
        begins=("expirationtimestamp",),
        begins_when=timed("expirationtimestamp"),
    ),
    Scheme(
        name="airtable",
        source=(
            "https://support.airtable.com/docs/airtable-attachment-url-behavior (the time in ms is in the path)"
        ),
        hosts=("airtableusercontent.com",),
        when=in_path(_AIRTABLE),
        expires=path_time(_AIRTABLE),
        secret=(path_secret(_AIRTABLE),),
        volatile_path=_AIRTABLE,
    ),
    Scheme(
        name="twitch",
        source="seen on usher.ttvnw.net: token is JSON with expires, sig beside it",
        needs=("sig", "token"),
        when=shaped(("token",), re.compile(r"^\s*\{")),
        expires=_twitch,
        secret=("sig", "token"),
        volatile=("p", "nauth", "nauthsig"),
        begins=("token",),
        begins_when=begins_like("token", '{"'),
    ),
    Scheme(
        name="twitch",
        source="seen on usher.ttvnw.net: the same pair under its older names",
        needs=("nauthsig", "nauth"),
        expires=_twitch,
        secret=("nauthsig", "nauth"),
        volatile=("p",),
    ),
    Scheme(
        name="filestack",
        source="https://www.filestack.com/docs/security/policies/ (policy: base64 JSON with expiry)",
        needs=("policy", "signature"),
        when=lambda parts: not parts.has("key-pair-id") and _filestack(parts).at is not None,
        expires=_filestack,
        secret=("signature", "policy"),
        begins=("policy",),
        begins_when=_filestack_has_begun,
        cut=(("signature", short_hex(64)),),
    ),
    Scheme(
        name="filestack",
        source=(
            "filestack-python and filestack-js: /security=p:<policy>,s:<signature>/ or both names in full,"
            " before the handle and between transformations"
        ),
        hint="/security",
        when=lambda parts: _filestack_path(parts).at is not None,
        expires=_filestack_path,
        secret=(_filestack_path_secrets,),
        volatile_path=re.compile(r"/(?P<cut>security(?:=|%3[dD])p[^/]*/)"),
    ),
    Scheme(
        name="rails_active_storage",
        source="https://guides.rubyonrails.org/active_storage_overview.html (_rails.exp of a signed message)",
        hint="eyJfcmFpbHMi",
        when=lambda parts: _rails_end(parts).at is not None,
        expires=_rails_end,
        secret=(_rails_secret,),
    ),
    Scheme(
        name="telegram_file",
        source="https://core.telegram.org/bots/api#getfile (guaranteed for at least an hour)",
        hosts=("api.telegram.org",),
        when=in_path(_TELEGRAM_FILE),
        secret=(path_secret(_TELEGRAM),),
        retention=timedelta(hours=1),
        bound=Bound.LOWER,
    ),
    Scheme(
        name="telegram_bot",
        source="https://core.telegram.org/bots/api#authorizing-your-bot",
        hint="/bot",
        when=in_path(_TELEGRAM),
        secret=(path_secret(_TELEGRAM),),
        kind=Kind.CREDENTIAL_ONLY,
    ),
    Scheme(
        name="webhook",
        source="Discord and Slack incoming webhooks: who knows the URL may post",
        hosts=("discord.com", "discordapp.com", "hooks.slack.com"),
        when=in_path(_WEBHOOK),
        secret=(path_secret(_WEBHOOK),),
        kind=Kind.CREDENTIAL_ONLY,
    ),
    Scheme(
        name="oauth_implicit",
        source="RFC 6749 section 4.2.2: access_token with expires_in, counted from its issue",
        needs=("access_token", "expires_in"),
        when=_oauth_end,
        secret=("access_token", "refresh_token", "id_token"),
        volatile=("token_type", "expires_in", "scope", "state"),
    ),
    Scheme(
        name="chatgpt_file",
        source="seen on chatgpt.com/backend-api/estuary/content: ts in hours, sig",
        hosts=("chatgpt.com", "openai.com"),
        needs=("sig", "ts"),
        when=in_path(_CHATGPT),
        expires=_hours_end,
        secret=("sig",),
        volatile=("ts", "cid", "p", "v"),
    ),
)
