"""What a database can tell about a text without our code: the scheme table as patterns that SQL understands.

A *sign* is a scheme with groups of patterns; it holds when every group has a pattern that fits. Patterns are in
SQLite's ``GLOB`` language (``*``, ``[a-z]``): the weakest of the languages they are translated to.
They are compared with a normalised text: lower case, escapes off.

A guard refuses writes of somebody's production, so a false alarm is worse here than a miss: what the scan would
find and a pattern cannot tell surely is left to the scan (``NOT_GUARDED``).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

from video_assets.urls import HostRules
from video_assets.urls.classify.classification import Kind
from video_assets.urls.host_rules import SCHEME
from video_assets.urls.schemes import SCHEMES
from video_assets.urls.schemes.model import Scheme

Group = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Sign:
    """One way to tell a temporary URL: every group must have a pattern that fits."""

    scheme: str
    groups: tuple[Group, ...]

    @property
    def needs_a_parameter(self) -> bool:
        """True when it cannot hold for a text without ``=``: most durable addresses are such."""
        return any(all("=" in pattern for pattern in group) for group in self.groups)


_START = "[?&;#~]"
_ONE = "[^&\"'<> #{*$[]"
"""One character of a value; a redacted one is empty here, a mask or a template's variable begins otherwise."""


def _many(characters: str, count: int) -> str:
    return f"[{characters}]" * count


def _digits(count: int) -> str:
    return _many("0-9", count)


def _hex(count: int) -> str:
    return _many("0-9a-f", count)


def _base64(count: int) -> str:
    return _many("0-9a-z+/%_-", count)


def _name(count: int) -> str:
    return _many("0-9a-z_-", count)


def _param(name: str, value: str = _ONE) -> str:
    return f"{_START}{name}={value}"


_EPOCH = "[1-9]" + _digits(9)
"""Seconds, or the beginning of milliseconds: an end before 2001 would be no end."""
_HEX_EPOCH = "[4-9a-f]" + _hex(7)
_PATH_EPOCH = "[5-7]" + _hex(7)
"""Of 2012 to 2038: other eight digits beside a digest name a file."""
_DATES = ("20[0-9][0-9]-[01]", "20[0-9][0-9][01][0-9][0-3][0-9]")
_TIMES = (_EPOCH, *_DATES)
_DRAWN = (_hex(16), _base64(28))
"""What only a machine writes: shorter ones could be words."""
_NO_WORD = tuple(f"={_name(before)}[a-z][0-9]" for before in range(24))
"""A digit right behind a letter of some value: words joined by dashes have none."""
_EXPIRY_IN_BASE64 = ("imv4cglyes", "jlehbpcnki", "izxhwaxj5i")
"""The key ``"expiry"`` of a JSON object in base64, in lower case: three ways, by what stands before it."""
_HASH_SEGMENT = tuple(f"/{form}/" for form in (_hex(32), _hex(40), _hex(64)))


def _spelled(*names: str) -> tuple[str, ...]:
    """Each name of words joined by nothing, ``_`` and ``-``."""
    return tuple(dict.fromkeys(joint.join(name.split()) for name, joint in product(names, ("", "_", "-"))))


_EXPIRY_NAMES = _spelled(
    *("expires", "expire", "expiry", "exp", "expiration", "expires at", "expire at", "expiry time"),
    *("expiration time", "valid until", "valid to", "not after", "deadline", "x expires", "expire time"),
)
_SIGNATURE_NAMES = _spelled(
    *("sig", "signature", "sign", "token", "hmac", "hash", "md5", "mac", "digest", "auth", "auth token"),
    *(
        "access token",
        "x signature",
        "url signature",
        "hmac sha256",
        "security token",
        "ssig",
        "policy signature",
    ),
)


def _any(name: str, values: tuple[str, ...]) -> Group:
    return tuple(_param(name, value) for value in values)


def _on(*domains: str) -> Group:
    """The host is one of these or below one."""
    return tuple(f"{before}{domain}/" for domain in domains for before in ("//", "."))


def _signed(secret: str, time: str, *others: str, times: tuple[str, ...] = _TIMES) -> tuple[Group, ...]:
    """As the table's ``signed``: all are there, and the time is one or only a machine wrote the secret."""
    named = tuple((_param(name),) for name in (secret, time, *others))
    return (*named, _any(time, times) + _any(secret, _DRAWN))


_HOME_MADE: tuple[Group, ...] = (
    tuple(_param(name, value) for name in _EXPIRY_NAMES for value in _TIMES),
    (
        *(_param(name, _name(16)) for name in _SIGNATURE_NAMES),
        *(_param(name, _hex(32)) for name in ("s", "h", "k", "t", "st", "key")),
    ),
    _NO_WORD,
)

_BY_HAND: dict[str, tuple[tuple[Group, ...], ...]] = {
    "jwt": ((("eyj" + _name(10) + "*.eyj" + _name(6) + "*.",),),),
    "runway": (((_param("_jwt"),),),),
    **{
        name: (((_param(f"{prefix}signature"),), tuple(_param(prefix + other) for other in others)),)
        for name, prefix, others in (
            ("aws_sigv4a", "x-amz-", ("algorithm", "region-set")),
            ("aws_sigv4", "x-amz-", ("date", "credential", "algorithm")),
            ("gcs_v4", "x-goog-", ("date", "credential", "algorithm")),
            ("alibaba_oss_v4", "x-oss-", ("date", "credential", "signature-version")),
            ("volcengine_tos", "x-tos-", ("date", "credential", "algorithm")),
        )
    },
    "cloudfront_custom": (
        (
            *((_param(name),) for name in ("key-pair-id", "signature", "policy")),
            _any("policy", ("eyj", "eya", "ewo", "ew0")) + _any("signature", _DRAWN),
        ),
    ),
    "cloudfront_canned": (
        _signed("signature", "expires", "key-pair-id"),
        ((_param("key-pair-id"),), _any("signature", _DRAWN)),
    ),
    "cloud_cdn": (_signed("signature", "expires", "keyname"),),
    "media_cdn": ((("edge-cache-token=*expires=" + _EPOCH,), ("signature=" + _name(8), "hmac=" + _name(8))),),
    "azure_sas": (
        (
            (_param("sig", _base64(6)),),
            (_param("sv"), _param("sr"), _param("skn")),
            (_param("se"), _param("si")),
            _any("se", _TIMES) + _any("sig", _DRAWN),
        ),
    ),
    "tencent_cos": ((("q-signature=" + _hex(16),),),),
    "vendor_sigv4": (((f"{_START}x-*-signature=" + _name(16),), (f"{_START}x-*-expires=[0-9]",)),),
    "qiniu": (((_param("e", _EPOCH),), (_param("token", _name(20) + "*:" + _name(20)),)),),
    "baidu_bos": ((("authorization=bce-auth-v*z/[0-9]*/" + _hex(16),),),),
    "upyun": (((_param("_upt", _hex(8) + _EPOCH),),),),
    "oracle_par": (
        (
            tuple(
                f"{place}{secret}*/n/*/{kind}/"
                for place, secret in (
                    ("oraclecloud.com/p/", _base64(16)),
                    ("customer-oci.com/p/", _base64(16)),
                    ("/p/", _many("0-9a-z", 20)),
                    ("/p/", _base64(48)),
                )
                for kind in ("b", "u")
            ),
        ),
    ),
    "swift_tempurl": (_signed("temp_url_sig", "temp_url_expires"),),
    "backblaze_b2": (((_param("authorization", "[0-9]_" + _name(20)),),),),
    "akamai": (((f"[~_/=&?]exp={_EPOCH}",), ("[~_]hmac=" + _hex(16), f"[/=]hmac={_hex(16)}*[~_]exp=")),),
    "akamai_gda": (((_param("__gda__", _EPOCH + "_" + _hex(32)),),),),
    "alibaba_cdn_a": (((_param("auth_key", _EPOCH + "-*-*-" + _hex(32)),),),),
    "tencent_cdn_a": (
        (
            tuple(
                _param(name, time + "-*-*-" + _hex(32))
                for name in ("sign", "key", "token")
                for time in (_EPOCH, _HEX_EPOCH)
            ),
        ),
    ),
    "alibaba_cdn_b": ((("/20" + _digits(10) + "/" + _hex(32) + "/",),),),
    "alibaba_cdn_c": ((("/" + _hex(32) + "/" + _PATH_EPOCH + "/",),),),
    "tiktok": ((("/" + _hex(32) + "/" + _PATH_EPOCH + "/",),),),
    "alibaba_cdn_f": (((_param("sign", _hex(32)),), (_param("time", _EPOCH), _param("time", _HEX_EPOCH))),),
    "tencent_cdn_d": (((_param("sign", _hex(32)),), (_param("t", _EPOCH),)),),
    "tencent_vod": (((_param("sign", _hex(32)),), (_param("t", _HEX_EPOCH),)),),
    "xiaohongshu": ((_on("xhscdn.com", "xiaohongshu.com"), (_param("sign"),), (_param("t", _HEX_EPOCH),)),),
    "tencent_live": (_signed("txsecret", "txtime", times=(_HEX_EPOCH,)),),
    "bytedance_cdn": (_signed("x-signature", "x-expires"),),
    "wangsu": (
        (
            (_param("wssecret"),),
            tuple(_param(name, time) for name in ("wstime", "wsabstime") for time in (_EPOCH, _HEX_EPOCH))
            + _any("wssecret", _DRAWN),
        ),
    ),
    "weibo": (_signed("ssig", "expires"),),
    "bilibili": (_signed("upsig", "deadline"),),
    "cloudflare_token": (
        (tuple(_param(name, _EPOCH + "-" + _base64(20)) for name in ("verify", "hmac", "mac")),),
    ),
    "cloudflare_images": (
        (("/imagedelivery", "//imagedelivery.net/"), (_param("sig"),), (_param("exp", "[1-9]"),)),
    ),
    "fastly": (
        (
            (
                _param("token", _EPOCH + "_" + _base64(20)),
                _param("token", _HEX_EPOCH + "_" + _base64(20)),
                _param("token", "0x" + _hex(8) + "_" + _base64(20)),
            ),
        ),
    ),
    "brightcove_fastly": (((_param("fastly_token", _base64(16)),),),),
    "bunny": (
        ((_param("token", _name(16)),), (_param("expires", _EPOCH),), _NO_WORD),
        (("/bcdn_token=" + _name(16),),),
    ),
    "keycdn": (((_param("token", _name(16)),), (_param("expire", _EPOCH),), _NO_WORD),),
    "nginx_secure_link": (
        ((_param("md5", _base64(20)),), (_param("expires", _EPOCH),)),
        ((_param("st", _base64(20)),), (_param("e", _EPOCH),)),
        (tuple(f"/{form}/[1-4]{_digits(9)}/" for form in (_hex(32), _name(22), _name(22) + "==")),),
    ),
    "lighttpd_secdownload": ((tuple(form + _PATH_EPOCH + "/" for form in _HASH_SEGMENT),),),
    "limelight_mediavault": (((_param("h", _hex(32)),), (_param("e", _EPOCH),)),),
    "wowza": (((_param("wowzatokenhash"),),),),
    "cdn77": (
        ((_param("secure", _base64(20) + "*," + _EPOCH),),),
        (("/" + _name(20) + "*," + _EPOCH + "/",),),
    ),
    "imgix": (((".imgix.net/", f"{_START}ixlib=", f"{_START}ixid="), (_param("expires", _EPOCH),)),),
    "imagekit": (_signed("ik-s", "ik-t"),),
    "pixelbin": (_signed("pbs", "pbe"),),
    "bytescale": ((("//upcdn.io/",), (_param("sig", _name(16)),), (_param("exp", "[1-9]"),)),),
    "discord": (((_param("hm", _hex(16)),), (_param("ex", _HEX_EPOCH),)),),
    "meta": (((_param("oh", _name(4)),), (_param("oe", _HEX_EPOCH),)),),
    "meta_lookaside": (
        (
            (".fbsbx.com/", ".facebook.com/", ".instagram.com/", ".whatsapp.net/", ".fbcdn.net/"),
            (_param("hash"),),
            (_param("ext", _EPOCH),),
        ),
    ),
    "googlevideo": (
        (
            (_param("expire", _EPOCH),),
            (_param("lsig"), _param("sparams"), ".googlevideo.com/", ".youtube.com/", ".googleusercontent.com/"),
            (_param("sig"), _param("lsig"), _param("signature")),
        ),
        (tuple(f"/expire/{_EPOCH}/*/{name}/" + "[^/]" * 10 for name in ("sig", "lsig", "signature")),),
    ),
    "runway_upload": ((("runway://[0-9a-z]",),),),
    "vimeo": ((("/" + _EPOCH + "-0x" + _hex(40),),),),
    "linkedin": ((_on("licdn.com"), *_signed("t", "e")),),
    "patreon": (_signed("token-hash", "token-time"),),
    "ittybit": ((_on("ittybit.net", "ittybit.com"), *_signed("signature", "expiry")),),
    "notion": (_signed("signature", "expirationtimestamp"),),
    "reddit_video": (((_param("a", _EPOCH + "," + _base64(20)),),),),
    "airtable": ((("airtableusercontent.com/*/" + _digits(13) + "/",),),),
    "twitch": (
        ((_param("sig", _hex(16)),), _any("token", ("%7b", "{"))),
        ((_param("nauthsig", _hex(16)),), _any("nauth", ("%7b", "{"))),
    ),
    "filestack": (
        ((_param("policy", "ey"),), (_param("signature", _hex(16)),), _EXPIRY_IN_BASE64),
        (("/security=p:ey*,s:" + _hex(16), "/security=policy:ey*,signature:" + _hex(16)), _EXPIRY_IN_BASE64),
    ),
    "github_raw": ((("//raw.githubusercontent.com/",), (_param("token"),)),),
    "dropbox_temporary": ((("dropboxusercontent.com/cd/", "dropboxusercontent.com/apitl/"),),),
    "telegram_file": ((("//api.telegram.org/file/bot" + _digits(5) + "*:" + _name(20),),),),
    "oauth_implicit": (((_param("access_token", _name(8)),), (_param("expires_in", "[0-9]"),)),),
    # Output stands below one plain word; the site's own pictures below words joined by underscores.
    "replicate": (
        (
            tuple(
                f"//{before}replicate.delivery/{word}{end}"
                for before in ("", "*.")
                for word in (_many("0-9a-z", length) for length in range(1, 13))
                for end in ("/", "[.-]")
            ),
            tuple(
                f"//{before}replicate.delivery/"
                for before in ("", *(f"{_many('0-9a-z', n)}." for n in range(1, 7)))
            ),
        ),
    ),
    "kie": ((("//tempfile*.aiquickdraw.com/" + _ONE,),),),
    "kie_upload": ((("//tempfile*.redpandaai.co/" + _ONE,),),),
    "kling": (
        (
            (
                *(
                    f"{before}{host}/bs2/{_ONE}"
                    for host in ("klingai.com", "ap4r.com", "inkwai.com", "kechuangai.com")
                    for before in ("//", "//*.")
                ),
                "kwimgs.com/bs2/upload-ylab",
            ),
        ),
    ),
    "runware": (
        (
            tuple(
                f"//{kind}m.runware.ai/{folder}/{_ONE}"
                for kind in ("i", "v", "a", "m")
                for folder in ("image", "video", "audio", "model", "3d")
            ),
        ),
    ),
    "wavespeed": (((".cloudfront.net/predictions/" + _hex(32) + "/[0-9]",),),),
    "together": (
        (
            tuple(
                f"//api.together.{end}/{folder}/{_ONE}"
                for end in ("ai", "xyz")
                for folder in ("shrt", "imgproxy")
            ),
        ),
    ),
    "openai_content": (
        (
            (
                "//api.openai.com/v[0-9]/videos/*/content",
                "//api.poe.com/v[0-9]/videos/*/content",
                "/videos/video_" + _hex(16) + "*/content",
            ),
        ),
    ),
    "openrouter_content": ((("//openrouter.ai/api/v1/videos/*/content",),),),
    "minimax": (
        (("cdn.minimax.io/inference_output/" + _ONE, "//filecdn.minimax.chat/inference_output/" + _ONE),),
    ),
    "google_veo": ((("//generativelanguage.googleapis.com/*files/",),),),
    "xai": ((("//imgen.x.ai/*xai-tmp", "//imgen.x.ai/xai-imgen/" + _ONE, "//vidgen.x.ai/" + _ONE),),),
    "ideogram": ((("ideogram.ai/api/images/ephemeral/",),),),
    "shotstack": ((("//shotstack-api-*.amazonaws.com/", ".amazonaws.com/shotstack-api-"),),),
    "creatomate": ((("backblazeb2.com/*creatomate-", "//cdn.creatomate.com/renders/"),),),
    "home_made": (_HOME_MADE,),
}
"""Signs of schemes whose table entry decides by a function that SQL cannot call."""

NOT_GUARDED = {
    "rails_active_storage": "its links for ever look the same until they are decoded",
    "api_key": "keys without an end are for the scan: no pattern tells them surely from other words",
    "userinfo": "a password before an @ does not die; the scan finds it",
    "telegram_bot": "a key without an end; the scan finds it",
    "webhook": "a secret address without an end; the scan finds it",
    "dashscope": "a redacted link looks like one that lost its query; the scan tells them apart",
    "seedance": "a redacted link looks like one that lost its query; the scan tells them apart",
    "black_forest_labs": "a redacted link looks like one that lost its query; the scan tells them apart",
    "heygen": "a redacted link looks like one that lost its query; the scan tells them apart",
    "azure_functions": "a key without an end; the scan finds it",
    "rpc_key": "a key without an end; the scan finds it",
    "prefixed": "the prefix may be any word: no pattern tells it surely",
    "netease": "a time beside a digest in a path is also how backups and builds are named",
    "google_drive": "its path stays when the signature in it is redacted; the scan tells them apart",
    "yandex_disk": "its path stays when the signature in it is redacted; the scan tells them apart",
    "qq_stream": "its key tells no end, and its name is used for other things",
    "nimble_wmsauth": "its time and signature are inside one base64 text; the scan decodes it",
    "azure_logic_apps": "a signature without an end; the scan finds it",
}
"""Schemes that only the scan finds, and why."""

WITH_A_TOKEN = frozenset({"supabase", "mux", "jwplayer", "github_attachment", "cloudflare_stream"})
"""Schemes that hold only with a JSON Web Token, which is a sign of its own."""


def _derived(scheme: Scheme) -> tuple[Group, ...]:
    """From an entry whose parameters say enough: all of them, each with a value."""
    return tuple((_param(name),) for name in scheme.needs)


def all_signs() -> tuple[Sign, ...]:
    """One or more signs for every scheme of the table that SQL can tell, the token first.

    A scheme without parameters of its own has none until somebody writes one by hand; a test asks for it.
    """
    signs = [Sign("jwt", groups) for groups in _BY_HAND["jwt"]]
    done = {"jwt"}
    for scheme in SCHEMES:
        name = scheme.name
        if name in NOT_GUARDED or name in WITH_A_TOKEN or name in done:
            continue
        by_hand = _BY_HAND.get(name)
        if by_hand is not None:
            done.add(name)
            signs += [Sign(name, groups) for groups in by_hand]
        elif scheme.needs and scheme.kind is Kind.TEMPORARY:
            signs.append(Sign(name, _derived(scheme)))
    return tuple(dict.fromkeys(signs))


SIGNS = all_signs()


def signs_of(hosts: HostRules) -> tuple[Sign, ...]:
    """One sign for every host that a user knows to delete."""
    return tuple(
        Sign(
            SCHEME,
            (
                tuple(
                    f"{before}{rule.host}{port}{rule.path.lower()}{'' if rule.path.rstrip('*') != '/' else _ONE}"
                    for before in ("//", "//*.")
                    for port in ("", ":[0-9]*")
                ),
            ),
        )
        for rule in hosts.rules
    )


ESCAPES = (
    ("%25", "%"),
    ("\\u0026", "&"),
    ("\\u003d", "="),
    ("\\u003f", "?"),
    ("\\u002f", "/"),
    ("\\u003a", ":"),
    ("&amp;", "&"),
    ("%3d", "="),
    ("%26", "&"),
    ("%3f", "?"),
    ("%7e", "~"),
    ("%2c", ","),
    ("%3a", ":"),
    ("%2e", "."),
    ("%2f", "/"),
    ("\\", ""),
    ("redacted", ""),
)
"""What is replaced, in this order, in the text in lower case. Then a redacted value is an empty one."""
