"""Scheme by scheme, after each vendor's own definition: what it is called, when it dies, what in it is secret."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import pytest

from video_assets.urls import Bound, Kind, classify, fingerprint, redact
from video_assets.urls.schemes import SCHEMES

T = 1_800_000_000  # 2027-01-15T08:00:00Z
HEX = f"{T:x}"
DIES = datetime(2027, 1, 15, 8, tzinfo=UTC)
LATER = 1_900_000_000
MD5 = hashlib.md5(b"video", usedforsecurity=False).hexdigest()
MD5_B64 = base64.urlsafe_b64encode(hashlib.md5(b"video", usedforsecurity=False).digest()).decode().rstrip("=")
SHA1 = hashlib.sha1(b"video", usedforsecurity=False).hexdigest()
SHA256 = hashlib.sha256(b"video").hexdigest()
SHA256_B64 = base64.b64encode(hashlib.sha256(b"video").digest()).decode()
UID = "0b5c8c3e-4f9d-4c8e-9b7a-2f1d3e5a7c9b"


def b64url(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def token(exp: object = T, **claims: object) -> str:
    signing = f"{b64url({'alg': 'HS256', 'typ': 'JWT'})}.{b64url({**claims, 'exp': exp})}"
    return f"{signing}.{b64url(hmac.new(b'k', signing.encode(), 'sha256').hexdigest())}"


def rails(exp: object) -> str:
    message = {"_rails": {"data": 17, "exp": exp, "pur": "blob_id"}}
    payload = base64.b64encode(json.dumps(message).replace(" ", "").encode()).decode()
    return f"{payload}--{hmac.new(b'k', payload.encode(), 'sha1').hexdigest()}"


JWT = token()
FASTLY = quote(base64.b64encode(f"{HEX}_{SHA256}".encode()).decode(), safe="")
TWITCH = quote(json.dumps({"expires": T, "vod_id": 1}))
WMS_AUTH = base64.b64encode(
    b"server_time=1/15/2027 7:40:00 AM&hash_value=k3Jx0pQzR7sVbN1mLq8YtA==&validminutes=20"
).decode()
CLOUDINARY = "https://api.cloudinary.com/v1_1/d/image/download?public_id=x"


@dataclass
class Case:
    scheme: str
    url: str
    secrets: tuple[str, ...]
    expires_at: datetime | None = DIES
    bound: Bound = Bound.CERTAIN
    kind: Kind = Kind.TEMPORARY
    carries_jwt: bool = False
    created_at: datetime | None = field(default=None)
    retention: timedelta | None = None

    def __str__(self) -> str:
        return f"{self.scheme}: {self.url[:70]}"


CREATED = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC)


def kept(scheme: str, url: str, retention: timedelta, *secrets: str, bound: Bound = Bound.UPPER) -> Case:
    return Case(scheme, url, secrets, CREATED + retention, bound, created_at=CREATED, retention=retention)


CASES = [
    # --- seen in the reports of users
    Case(
        "netease",
        f"https://m10c.music.126.net/20270115160000/{MD5}/ymusic/af66/4326/bf62/a.mp3",  # UTC+8
        (MD5,),
    ),
    Case("netease", f"https://cdn.example.com/{MD5}/20270115160000/a.mp4", (MD5,)),
    Case(
        "qq_stream",
        f"https://dl.stream.qqmusic.qq.com/C40.m4a?guid=1&vkey={SHA256.upper()}",
        (SHA256.upper(),),
        None,
    ),
    Case(
        "google_drive",
        f"https://doc-0c-4o-docs.googleusercontent.com/docs/securesc/{MD5}/{MD5[::-1]}/{T}000/102/*/0B8x?e=download",
        (f"{MD5}/{MD5[::-1]}",),
        bound=Bound.LOWER,
    ),
    Case(
        "chatgpt_file",
        f"https://chatgpt.com/backend-api/estuary/content?id=file-Ab1&ts={T // 3600}&p=fs&cid=1&sig={SHA256}&v=0",
        (SHA256,),
        bound=Bound.LOWER,
    ),
    Case(
        "icloud",
        f"https://cvws.icloud-content.com/B/AQhI9/v.mov?o=AhC9&v=1&x=3&a=CAogAb12&e={T}&r=1&k=Qm4x9kLp&s={MD5_B64}",
        ("CAogAb12", "Qm4x9kLp", MD5_B64),
    ),
    Case(
        "yandex_disk",
        f"https://downloader.disk.yandex.ru/disk/{SHA256}/{HEX}/fKqI?uid=0&filename=a.mp4&disposition=attachment",
        (SHA256,),
    ),
    Case("yandex_disk", f"https://s1.disk.yandex.net/zip/disk/{SHA256}/{HEX}/aBcD", (SHA256,)),
    Case(
        "prefixed",
        f"https://p16.example.com/a.mp4?x-orig-authkey={SHA1}&x-orig-expires={T}"
        f"&x-orig-sign={quote(SHA256_B64, safe='')}",
        (SHA1, quote(SHA256_B64, safe="")),
    ),
    Case("prefixed", f"https://img.example.com/a.mp4?img_expire={T}&img_sig={MD5}", (MD5,)),
    Case(
        "nimble_wmsauth",
        f"https://live.example.com/live/a.m3u8?wmsAuthSign={WMS_AUTH}",
        (WMS_AUTH,),
        DIES,
    ),
    Case("akamai", f"https://x.example.net/v.m3u8?hdnts=st={T - 60}_exp={T}_acl=/*_hmac={SHA256}", (SHA256,)),
    Case(
        "alibaba_oss_v4",
        f"https://b.oss-cn-hangzhou.aliyuncs.com/v.mp4?x-oss-signature-version=OSS2&x-oss-expires={T}"
        f"&x-oss-access-key-id=LTAIexample&x-oss-signature={quote(SHA256_B64, safe='')}",
        (quote(SHA256_B64, safe=""),),
    ),
    Case("rpc_key", f"https://mainnet.infura.io/v3/{MD5}", (MD5,), None, kind=Kind.CREDENTIAL_ONLY),
    Case("rpc_key", f"https://muddy-star.quiknode.pro/{SHA1}/", (SHA1,), None, kind=Kind.CREDENTIAL_ONLY),
    Case("rpc_key", f"https://go.getblock.io/{UID}/mainnet/", (UID,), None, kind=Kind.CREDENTIAL_ONLY),
    Case(
        "rpc_key",  # the last segment names a public graph
        f"https://gateway.thegraph.com/api/{MD5}/subgraphs/id/5zvR82QoaXYFyDEKLZ9t6v9adgnptxYpKpSbxtgVENFV",
        (MD5,),
        None,
        kind=Kind.CREDENTIAL_ONLY,
    ),
    # --- AWS, where botocore has no signer or the order is unusual
    Case(
        "aws_sigv4a",
        "https://b.s3.amazonaws.com/k?X-Amz-Algorithm=AWS4-ECDSA-P256-SHA256&X-Amz-Credential=AKID%2F20270115%2Fs3%2Faws4_request"
        f"&X-Amz-Date=20270115T070000Z&X-Amz-Expires=3600&X-Amz-SignedHeaders=host&X-Amz-Region-Set=*&X-Amz-Signature={SHA256}",
        (SHA256,),
    ),
    Case(
        "aws_sigv4",
        f"https://b.s3.amazonaws.com/k?x-amz-signature={SHA256}&x-amz-expires=3600&X-AMZ-DATE=20270115T070000Z&versionId=3",
        (SHA256,),
    ),
    Case(
        "aws_sigv4",
        "https://b--use1-az4--x-s3.s3express-use1-az4.us-east-1.amazonaws.com/k?X-Amz-Algorithm=AWS4-HMAC-SHA256"
        f"&X-Amz-Date=20270115T070000Z&X-Amz-Expires=3600&X-Amz-S3session-Token=AgV4kHtoken&X-Amz-Signature={SHA256}",
        (SHA256, "AgV4kHtoken"),
    ),
    Case(
        "aws_sigv2",
        f"https://b.s3.amazonaws.com/k?Signature=abc%2Bdef%3D&Expires={T}&AWSAccessKeyId=AKIA",
        ("abc%2Bdef%3D",),
    ),
    Case(
        "cloudfront_canned",
        f"https://d1.cloudfront.net/v.mp4?Expires={T}&Signature=a~b-c__&Key-Pair-Id=K1",
        ("a~b-c__",),
    ),
    # --- Google
    Case(
        "cloud_cdn",
        f"https://cdn.example.com/v.mp4?Expires={T}&KeyName=k1&Signature=abcDEF0123456789_-w=",
        ("abcDEF0123456789_-w=",),
    ),
    Case(
        "cloud_cdn",
        f"https://cdn.example.com/v.mp4?URLPrefix=aHR0cHM6Ly9j&Expires={T}&KeyName=k1&Signature=abcDEF0123456789_-w=",
        ("abcDEF0123456789_-w=",),
    ),
    Case(
        "media_cdn",
        f"https://m.example.com/edge-cache-token=Expires={T}&KeyName=k&Signature=abcDEF0123456789_-/a/v.mp4",
        ("abcDEF0123456789_-",),
    ),
    Case(
        "media_cdn",
        f"https://m.example.com/v.mp4?edge-cache-token=URLPrefix=aHR0cHM~Expires={T}~KeyName=k~Signature=abcDEF0123456789_-",
        ("abcDEF0123456789_-",),
    ),
    Case(
        "googlevideo",
        f"https://rr3---sn-a.googlevideo.com/videoplayback?expire={T}&ei=x&id=o-1&itag=18&lmt=1700000000000000"
        "&lsig=AGluJ3MwRQIh&sig=AJfQdSswRQIhA",
        ("AJfQdSswRQIhA", "AGluJ3MwRQIh"),
    ),
    Case(
        "googlevideo",
        f"https://manifest.googlevideo.com/api/manifest/hls/expire/{T}/ei/x/id/o-1/lsig/AGluJ3MwRQIh/sig/AJfQdSswRQIhA/f.m3u8",
        ("AJfQdSswRQIhA", "AGluJ3MwRQIh"),
    ),
    # --- Azure and those on it
    Case(
        "azure_sas",
        "https://oaidalleapiprodscus.blob.core.windows.net/private/org-1/user-2/img-3.png?st=2027-01-15T06%3A00%3A00Z"
        "&se=2027-01-15T08%3A00%3A00Z&sp=r&sv=2024-08-04&sr=b&rscd=inline&skoid=a&sktid=b&skt=2027-01-14T00%3A00%3A00Z"
        "&ske=2027-01-16T00%3A00%3A00Z&sks=b&skv=2024-08-04&sig=gE4%2Bk1%2F9c%3D",
        ("gE4%2Bk1%2F9c%3D",),
    ),
    Case(
        "azure_sas",
        "https://videos.openai.com/vg-assets/assets%2Ftask_01%2Ftask_01_genid_x%2Fvideo.mp4?st=2027-01-09T07%3A00%3A00Z"
        "&se=2027-01-15T08%3A00%3A00Z&sks=b&skt=a&ske=2027-02-01T00%3A00%3A00Z&sktid=1&skoid=2&skv=2019-02-02&sv=2018-11-09"
        "&sr=b&sp=r&spr=https%2Chttp&sig=QQx%2BaZ%3D&az=oaivgprodscus",
        ("QQx%2BaZ%3D",),
    ),
    Case(
        "azure_sas",
        f"https://delivery-eu1.bfl.ai/results/x/sample.png?se=2027-01-15T08%3A00%3A00Z&sp=r&sv=2024-11-04&sr=b&sig={SHA256}",
        (SHA256,),
    ),
    # --- the Chinese clouds
    Case(
        "alibaba_oss_v1",
        f"http://dashscope-result.oss-cn-beijing.aliyuncs.com/1d/v.mp4?Expires={T}&OSSAccessKeyId=LTAI&Signature=abc%3D",
        ("abc%3D",),
    ),
    Case(
        "tencent_cos",
        "https://b-125.cos.ap-guangzhou.myqcloud.com/v.mp4?sign=q-sign-algorithm%3Dsha1%26q-ak%3DAKID%26q-sign-time%3D"
        f"1700000000%3B{T}%26q-key-time%3D1700000000%3B{LATER}%26q-header-list%3D%26q-url-param-list%3D%26q-signature%3D{SHA1}",
        (SHA1,),
    ),
    Case(
        "tencent_cos",
        f"https://b-125.cos.ap-guangzhou.myqcloud.com/v.mp4?q-sign-algorithm=sha1&q-ak=AKID&q-sign-time=1700000000;{T}"
        f"&q-key-time=1700000000;{T}&q-header-list=host;range&q-url-param-list=&q-signature={SHA1}",
        (SHA1,),
    ),
    Case(
        "huawei_obs",
        f"https://b.obs.cn-north-4.myhuaweicloud.com/v?AccessKeyId=HW&Expires={T}&Signature=a%2Bb%3D",
        ("a%2Bb%3D",),
    ),
    Case(
        "kingsoft_ks3",
        f"https://b.ks3-cn-beijing.ksyuncs.com/v?KSSAccessKeyId=AK&Expires={T}&Signature=a%2Bb%3D",
        ("a%2Bb%3D",),
    ),
    Case(
        "ucloud_us3",
        f"https://b.cn-bj.ufileos.com/v?UCloudPublicKey=TOKEN_1&Expires={T}&Signature=a%2Bb%3D",
        ("a%2Bb%3D",),
    ),
    Case(
        "vendor_sigv4",
        f"https://b.example.com/v?X-Eos-Algorithm=EOS4-HMAC-SHA256&X-Eos-Date=20270115T070000Z&X-Eos-Expires=3600&X-Eos-Signature={SHA256}",
        (SHA256,),
    ),
    Case("upyun", f"https://up.example.com/v.mp4?_upt=abcdef12{T}", ("abcdef12",)),
    Case(
        "qiniu",
        f"https://q.example.com/v.mp4?e={T}&token=MP_Ebql_lSsUrDr7WrXn_5vKocQDLvTPCNEFeVmp%3Asmf7QxSUZnGYwQ_nWdfwWVqmyP8%3D",
        ("smf7QxSUZnGYwQ_nWdfwWVqmyP8%3D",),
    ),
    Case(
        "baidu_bos",
        f"https://bj.bcebos.com/b/v.mp4?authorization=bce-auth-v1/AK/2027-01-15T07:00:00Z/3600/host/{SHA256}",
        (SHA256,),
    ),
    Case(
        "baidu_bos",
        f"https://bj.bcebos.com/b/v.mp4?authorization=bce-auth-v1/AK/2027-01-15T07:00:00Z/-1/host/{SHA256}",
        (SHA256,),
        None,
        kind=Kind.CREDENTIAL_ONLY,
    ),
    Case("alibaba_cdn_a", f"https://c.example.com/v.mp4?auth_key={T}-0-0-{MD5}", (MD5,), bound=Bound.LOWER),
    Case(
        "alibaba_cdn_a", f"https://c.example.com/v.mp4?x=1&auth_key={T}-5f2c-0-{MD5}", (MD5,), bound=Bound.LOWER
    ),
    Case("alibaba_cdn_b", f"https://c.example.com/202701151600/{MD5}/a/v.mp4", (MD5,), bound=Bound.LOWER),
    Case("alibaba_cdn_c", f"https://c.example.com/{MD5}/{HEX}/a/v.mp4", (MD5,), bound=Bound.LOWER),
    Case("alibaba_cdn_f", f"https://c.example.com/v.mp4?sign={MD5}&time={T}", (MD5,), bound=Bound.LOWER),
    Case("alibaba_cdn_f", f"https://c.example.com/v.mp4?sign={MD5}&time={HEX}", (MD5,), bound=Bound.LOWER),
    Case("tencent_cdn_a", f"https://c.example.com/v.mp4?sign={T}-abc123-0-{MD5}", (MD5,), bound=Bound.LOWER),
    Case("tencent_cdn_a", f"https://c.example.com/v.mp4?sign={HEX}-abc123-0-{MD5}", (MD5,), bound=Bound.LOWER),
    Case("tencent_cdn_d", f"https://c.example.com/v.mp4?sign={MD5}&t={T}", (MD5,), bound=Bound.LOWER),
    Case("tencent_vod", f"https://1.vod2.myqcloud.com/a/v.mp4?t={HEX}&us=72d4cd1101&sign={MD5}", (MD5,)),
    Case("xiaohongshu", f"https://sns-video-hw.xhscdn.com/stream/v.mp4?sign={MD5}&t={HEX}", (MD5,)),
    Case("tencent_live", f"https://live.example.com/live/s.flv?txSecret={MD5}&txTime={HEX.upper()}", (MD5,)),
    Case(
        "bytedance_cdn",
        f"https://p16-sign.tiktokcdn.com/o/v~c5.jpeg?x-expires={T}&x-signature=abc%2FDEF%3D",
        ("abc%2FDEF%3D",),
    ),
    Case(
        "bilibili",
        f"https://upos.bilivideo.com/v.m4s?e=ig8euxZM2rNcNbdlhoNvNC8B&deadline={T}&upsig={MD5}&uparams=e,deadline",
        (MD5,),
    ),
    Case(
        "weibo",
        f"https://f.video.weibocdn.com/v.mp4?label=mp4_hd&Expires={T}&ssig=k%2FaXz1&KID=unistore,video",
        ("k%2FaXz1",),
    ),
    Case("wangsu", f"https://live.example.com/v.flv?wsSecret={MD5}&wsABSTime={HEX}", (MD5,)),
    Case("wangsu", f"https://live.example.com/v.flv?wsSecret={MD5}&wsTime={HEX}", (MD5,), bound=Bound.LOWER),
    Case(
        "tiktok",
        f"https://v16-webapp.tiktok.com/{MD5}/{HEX}/video/tos/x/?a=1988&expire={T}&signature={SHA1}",
        (MD5, SHA1),
    ),
    # --- content delivery networks
    *(
        Case("akamai", url, (SHA256,))
        for url in (
            f"https://c.akamaized.net/v.mp4?hdnts=st={T - 60}~exp={T}~acl=/*~hmac={SHA256}",
            f"https://c.akamaized.net/v.mp4?hdnea=exp={T}~acl=%2f*~hmac={SHA256}&x=1",
            f"https://c.example.com/v.mp4?whatever=ip=1.2.3.4~st=1~exp={T}~acl=/a/*!/b/*~id=7~data=x~hmac={SHA256}",
            f"https://c.example.com/v.mp4?__token__=exp%3D{T}%7Eacl%3D%2F%2A%7Ehmac%3D{SHA256}",
            f"https://res.cloudinary.com/d/v.mp4?__cld_token__=st=1~exp={T}~acl=/d/*~hmac={SHA256}",
            f"https://vod-progressive.akamaized.net/exp={T}~acl=%2Fvimeo%2F1%2F%2A~hmac={SHA256}/vimeo/1/v.mp4",
        )
    ),
    Case(
        "vimeo",
        f"https://skyfire.vimeocdn.com/{T}-0x{SHA1}/exp={T}~acl=*~hmac={SHA256}/sep/v.mp4",
        (SHA1, SHA256),
    ),
    Case("akamai_gda", f"https://c.example.com/v.mp4?__gda__={T}_{MD5}", (MD5,)),
    Case(
        "cloudflare_token",
        f"https://c.example.com/v.mp4?verify={T}-{quote(SHA256_B64, safe='')}",
        (quote(SHA256_B64, safe=""),),
        None,
    ),
    Case("cloudflare_images", f"https://imagedelivery.net/ZWd9g1K7/abc/private?exp={T}&sig={SHA256}", (SHA256,)),
    Case(
        "cloudflare_stream",
        f"https://customer-abc.cloudflarestream.com/{JWT}/manifest/video.m3u8",
        (JWT,),
        carries_jwt=True,
    ),
    Case("cloudflare_stream", f"https://videodelivery.net/{JWT}/downloads/default.mp4", (JWT,), carries_jwt=True),
    Case("fastly", f"https://c.example.com/v.mp4?token={T}_{SHA256}", (SHA256,)),
    Case("fastly", f"https://c.example.com/v.mp4?token={HEX}_0x{SHA256}", (f"0x{SHA256}",)),
    Case("fastly", f"https://c.example.com/v.mp4?token=0x{HEX}_{SHA1}", (SHA1,)),
    Case(
        "brightcove_fastly",
        f"https://b.example.com/v.mp4?fastly_token={FASTLY}",
        (FASTLY,),
    ),
    Case("bunny", f"https://x.b-cdn.net/v.mp4?token={MD5_B64}&expires={T}", (MD5_B64,)),
    Case(
        "bunny",
        f"https://x.b-cdn.net/v.mp4?token=HS256-{b64url(SHA256)}&token_path=%2F&expires={T}&limit=99",
        (f"HS256-{b64url(SHA256)}",),
    ),
    Case(
        "bunny", f"https://x.b-cdn.net/bcdn_token={MD5_B64}&expires={T}&token_path=%2Fa%2F/a/v.m3u8", (MD5_B64,)
    ),
    Case(
        "bunny",
        f"https://x.b-cdn.net/bcdn_token=HS256-{MD5_B64}&token_path=%2Fa%2F&expires={T}/a/v.m3u8",
        (f"HS256-{MD5_B64}",),
    ),
    Case("keycdn", f"https://x.kxcdn.com/v.mp4?token={MD5_B64}&expire={T}", (MD5_B64,)),
    Case("nginx_secure_link", f"https://x.example.com/v.mp4?md5={MD5_B64}&expires={T}", (MD5_B64,)),
    Case("nginx_secure_link", f"https://x.example.com/v.mp4?st={MD5_B64}&e={T}", (MD5_B64,)),
    Case("nginx_secure_link", f"https://x.example.com/s/{MD5_B64}/{T}/v.mp4", (MD5_B64,)),
    Case("nginx_secure_link", f"https://x.example.com/s/{MD5}/{T}/v.mp4", (MD5,)),
    Case("lighttpd_secdownload", f"https://x.example.com/dl/{MD5}/{HEX}/v.mp4", (MD5,), None),
    Case("limelight_mediavault", f"https://x.llnwd.net/v.mp4?e={T}&h={MD5}", (MD5,)),
    Case(
        "wowza",
        f"https://w.example.com/vod/v.mp4?wowzatokenstarttime=0&wowzatokenendtime={T}&wowzatokenhash={MD5_B64}=",
        (f"{MD5_B64}=",),
    ),
    Case("cdn77", f"https://1.rsc.cdn77.org/v.mp4?secure={MD5_B64}==,{T}", (f"{MD5_B64}==",)),
    Case("cdn77", f"https://1.rsc.cdn77.org/{MD5_B64}==,{T}/v.mp4", (f"{MD5_B64}==",)),
    # --- image services
    Case("imgix", f"https://x.imgix.net/a.png?w=400&expires={T}&s={MD5}", (MD5,)),
    Case("imgix", f"https://x.imgix.net/a.png?w=400&expires={T}", ()),
    Case("bytescale", f"https://upcdn.io/W142/raw/v.mp4?exp={T}&sig={SHA256}", (SHA256,)),
    Case("bytescale", f"https://upcdn.io/W142/raw/v.mp4?exp={T}000&sig={SHA256}", (SHA256,)),
    Case(
        "bytescale",
        f"https://upcdn.io/W142/raw/v.mp4?exp=inf&sig={SHA256}",
        (SHA256,),
        None,
        kind=Kind.CREDENTIAL_ONLY,
    ),
    Case("imagekit", f"https://ik.imagekit.io/d/v.mp4?ik-t={T}&ik-s={SHA1}", (SHA1,)),
    Case(
        "pixelbin",
        f"https://cdn.pixelbin.io/v2/c/original/v.jpg?pbs={SHA256[:16]}&pbe={T}000&pbt=tok",
        (SHA256[:16],),
    ),
    Case("ittybit", f"https://x.ittybit.net/v.mp4?expiry={T}&signature={SHA256}", (SHA256,)),
    Case(
        "cloudinary_download",
        f"https://api.cloudinary.com/v1_1/d/image/download?timestamp=1700000000&public_id=x&expires_at={T}&signature={SHA1}&api_key=123456789012345",
        (SHA1,),
    ),
    Case(
        "cloudinary_download",
        f"{CLOUDINARY}&timestamp={T - 3600}&signature={SHA1}&api_key=123456789012345",
        (SHA1,),
    ),
    # --- social networks
    Case(
        "discord", f"https://cdn.discordapp.com/attachments/1/2/v.mp4?ex={HEX}&is={HEX}&hm={SHA256}&", (SHA256,)
    ),
    Case(
        "meta",
        f"https://scontent.cdninstagram.com/v/t51/1_n.mp4?efg=eyJ2ZW5jb2RlX3RhZyI6InYifQ&_nc_ht=s.cdn&oh=00_AfB3xQ&oe={HEX.upper()}",
        ("00_AfB3xQ",),
    ),
    Case(
        "meta_lookaside",
        f"https://lookaside.fbsbx.com/whatsapp_business/attachments/?mid=1&ext={T}&hash=ATvX1",
        ("ATvX1",),
    ),
    Case(
        "patreon", f"https://c10.patreonusercontent.com/4/p/1.mp4?token-time={T}&token-hash=AbC%3D", ("AbC%3D",)
    ),
    Case("linkedin", f"https://media.licdn.com/dms/image/v2/D4/x/0/1?e={T}&v=beta&t=Zb1x_y-Z", ("Zb1x_y-Z",)),
    Case(
        "reddit_video",
        f"https://v.redd.it/abc/DASH_720.mp4?a={T}%2CZmQ0YzE3NDk4YjU2NzM4OWE%3D&v=1&f=sd",
        ("ZmQ0YzE3NDk4YjU2NzM4OWE%3D",),
    ),
    Case(
        "notion",
        f"https://file.notion.so/f/f/a/b/v.mp4?id=1&table=block&spaceId=2&expirationTimestamp={T}000&signature=x1-y2&downloadName=v",
        ("x1-y2",),
    ),
    Case("airtable", f"https://v5.airtableusercontent.com/v3/u/51/51/{T}000/AbCd1/EfGh2-3", ("AbCd1/EfGh2-3",)),
    Case("airtable", f"https://v5.airtableusercontent.com/v1/20/20/{T}000/AbCd1/EfGh2-3", ("AbCd1/EfGh2-3",)),
    Case(
        "twitch",
        f"https://usher.ttvnw.net/vod/1.m3u8?sig={SHA1}&token={TWITCH}",
        (SHA1,),
    ),
    Case(
        "filestack",
        f"https://cdn.filestackcontent.com/h?policy={b64url({'expiry': T, 'call': ['read']})}&signature={SHA256}",
        (SHA256,),
    ),
    Case(
        "filestack",
        f"https://cdn.filestackcontent.com/A1/security=p:{b64url({'expiry': T})},s:{SHA256}/resize=w:150/h",
        (b64url({"expiry": T}), SHA256),
    ),
    Case(
        "filestack",
        f"https://d1.cloudfront.net/polaroid/security=policy:{b64url({'expiry': T})}%3D,signature:{SHA256}/h",
        (b64url({"expiry": T}) + "%3D", SHA256),
    ),
    # --- tokens
    Case("runway", f"https://dnznrvs05pmza.cloudfront.net/a.mp4?_jwt={JWT}", (JWT,), carries_jwt=True),
    Case(
        "supabase", f"https://x.supabase.co/storage/v1/object/sign/b/v.mp4?token={JWT}", (JWT,), carries_jwt=True
    ),
    Case(
        "supabase",
        f"https://cdn.example.com/storage/v1/render/image/sign/b/a.png?width=9&token={JWT}",
        (JWT,),
        carries_jwt=True,
    ),
    Case("mux", f"https://stream.mux.com/abc.m3u8?token={JWT}", (JWT,), carries_jwt=True),
    Case("jwplayer", f"https://cdn.jwplayer.com/manifests/a.m3u8?token={JWT}", (JWT,), carries_jwt=True),
    Case(
        "github_attachment",
        f"https://private-user-images.githubusercontent.com/1/2.mp4?jwt={JWT}",
        (JWT,),
        carries_jwt=True,
    ),
    Case("home_made", f"https://cdn.jwplayer.com/videos/a.mp4?exp={T}&sig={MD5}", (MD5,)),
    # --- other stores
    Case(
        "swift_tempurl",
        f"https://swift.example.com/v1/AUTH_a/c/v.mp4?temp_url_sig={SHA1}&temp_url_expires={T}",
        (SHA1,),
    ),
    Case(
        "swift_tempurl",
        f"https://swift.example.com/v1/AUTH_a/c/v.mp4?temp_url_sig={SHA256}&temp_url_expires=2027-01-15T08%3A00%3A00Z&filename=v",
        (SHA256,),
    ),
    Case(
        "oracle_par",
        "https://objectstorage.us-ashburn-1.oraclecloud.com/p/Zb1x_y-Z0123456789abc/n/ns/b/bucket/o/v.mp4",
        ("Zb1x_y-Z0123456789abc",),
        None,
    ),
    Case(
        "backblaze_b2",
        f"https://f002.backblazeb2.com/file/b/v.mp4?Authorization=3_20270115_{SHA1}_dnld",
        (f"3_20270115_{SHA1}_dnld",),
        None,
    ),
    Case(
        "rails_active_storage",
        f"https://x.example.com/rails/active_storage/disk/{rails('2027-01-15T08:00:00.123Z')}/v.mp4",
        (rails("2027-01-15T08:00:00.123Z"),),
    ),
    Case(
        "rails_active_storage",
        f"https://x.example.com/rails/active_storage/blobs/redirect/{rails('2027-01-15T08:00:00Z')}/v.mp4?disposition=inline",
        (rails("2027-01-15T08:00:00Z"),),
    ),
    # --- home-made
    *(
        Case("home_made", f"https://x.example.com/v.mp4?{name}={written}&{sign}={value}", (value,))
        for name, written in (
            ("expires", T),
            ("exp", T),
            ("Expiry", T),
            ("expiration", f"{T}000"),
            ("expires_at", "2027-01-15T08:00:00Z"),
            ("valid_until", "20270115T080000Z"),
            ("validto", T),
            ("deadline", T),
            ("expiresAt", f"{T}123"),
            ("expire", T),
        )
        for sign, value in (
            ("sig", SHA256),
            ("signature", quote(SHA256_B64, safe="")),
            ("hmac", SHA1),
            ("hash", MD5),
            ("s", MD5),
        )
    ),
    # --- hosts that delete
    Case(
        "webhook",
        "https://discord.com/api/webhooks/123456789012345678/AbCdEfGhIjKlMnOpQrSt-0123456789",
        ("AbCdEfGhIjKlMnOpQrSt-0123456789",),
        None,
        kind=Kind.CREDENTIAL_ONLY,
    ),
    kept("replicate", "https://replicate.delivery/xezq/abc/output.mp4", timedelta(hours=1)),
    kept("replicate", "https://pbxt.replicate.delivery/abc/out-0.png", timedelta(hours=1)),
    kept("kie", "https://tempfile.aiquickdraw.com/v/abc_1700000000.mp4", timedelta(days=14)),
    kept("kie", "https://tempfile1.aiquickdraw.com/v/abc.mp4", timedelta(days=14)),
    Case("kie_upload", "https://tempfile.redpandaai.co/kieai/1/v.png", (), None),
    kept(
        "kling",
        "https://v15-kling.klingai.com/bs2/upload-ylab-stunt-sgp/se/ai/v.mp4?x-kcdn-pid=112452",
        timedelta(days=30),
    ),
    kept(
        "google_veo",
        "https://generativelanguage.googleapis.com/v1beta/files/abc123:download?alt=media&key=AIzaSyA1234567890abcdefghijklmnopqrstuv",
        timedelta(days=2),
        "AIzaSyA1234567890abcdefghijklmnopqrstuv",
    ),
    kept(
        "google_veo",
        "https://generativelanguage.googleapis.com/v1beta/files/abc123:download?alt=media",
        timedelta(days=2),
    ),
    Case("xai", "https://imgen.x.ai/xai-imgen/xai-tmp-imgen-0b5c.jpeg", (), None),
    kept(
        "xai",
        "https://vidgen.x.ai/xai-vidgen-bucket/xai-video-4482fadb-6cc1-4c3b-9d4e-2f9f8a7b6c5d.mp4",
        timedelta(hours=24),
    ),
    *(
        kept("kling", url, timedelta(days=30))
        for url in (
            "https://s2-def.ap4r.com/bs2/upload-ylab-stunt-sgp/kling/abc.mp4?x-kcdn-pid=112452",
            "https://h1.inkwai.com/bs2/upload-ylab-stunt/1fa0ac67d8ce6cd55b50d68b967b3a59.png",
            "https://v2-kling.kechuangai.com/bs2/upload-ylab-stunt/51684e87-output.mp4",
            "https://p1.a.kwimgs.com/bs2/upload-ylab-stunt/special-effect/output/1/output.mp4",
        )
    ),
    *(
        Case("runware", url, (), None)
        for url in (
            f"https://vm.runware.ai/video/ws/5/vi/{UID}.mp4",
            f"https://vm.runware.ai/video/os/a14d18/ws/2/vi/{UID}.mp4",
            f"https://im.runware.ai/image/ii/{UID}.WEBP",
            f"https://am.runware.ai/audio/ws/0.5/ai/{UID}.mp3",
        )
    ),
    kept("wavespeed", f"https://d1q70pf5vjeyhc.cloudfront.net/predictions/{MD5}/1.mp4", timedelta(days=7)),
    Case("together", "https://api.together.ai/shrt/DwlaBdSakNRFlBxN", (), None),
    Case("together", f"https://api.together.ai/imgproxy/{MD5_B64}/format:jpeg/abc", (), None),
    kept("openai_content", f"https://api.openai.com/v1/videos/video_68d7512d{MD5}/content", timedelta(hours=1)),
    kept(
        "openai_content",
        f"https://gateway.example.com/openai/v1/videos/video_68d7512d{MD5}/content?variant=thumbnail",
        timedelta(hours=1),
    ),
    Case("openrouter_content", "https://openrouter.ai/api/v1/videos/gen-1764-abc/content?index=0", (), None),
    Case(
        "minimax",
        f"https://video-product.cdn.minimax.io/inference_output/video/2026-04-17/{UID}/output.mp4",
        (),
        None,
    ),
    kept("dashscope", "https://dashscope-result-sh.oss-cn-shanghai.aliyuncs.com/1d/v.mp4", timedelta(hours=24)),
    kept(
        "seedance",
        "https://ark-content-generation-ap-southeast-1.tos-ap-southeast-1.volces.com/seedance/021.mp4",
        timedelta(hours=24),
    ),
    kept("black_forest_labs", "https://delivery-eu1.bfl.ai/results/ab/sample.jpeg", timedelta(minutes=10)),
    Case("heygen", f"https://files2.heygen.ai/aws_pacific/avatar_tmp/{MD5}/v.mp4", (), None),
    Case("ideogram", f"https://ideogram.ai/api/images/ephemeral/abc.png?exp={T}&sig={SHA256}", (SHA256,)),
    kept(
        "shotstack",
        "https://shotstack-api-v1-output.s3-ap-southeast-2.amazonaws.com/a/b.mp4",
        timedelta(hours=24),
    ),
    kept("creatomate", "https://f002.backblazeb2.com/file/creatomate-c8xg3hsxdu/a.mp4", timedelta(days=30)),
    kept("runway_upload", "runway://dXBsb2FkLTEyMw", timedelta(hours=24)),
    kept(
        "dropbox_temporary",
        "https://ucabc.dl.dropboxusercontent.com/cd/0/get/AbCdEf123/file",
        timedelta(hours=4),
        "AbCdEf123",
    ),
    kept(
        "telegram_file",
        "https://api.telegram.org/file/bot123456789:AAEhBOweik6ad9r_QXMENQjcrGbqCr4K-bc/videos/f.mp4",
        timedelta(hours=1),
        "123456789:AAEhBOweik6ad9r_QXMENQjcrGbqCr4K-bc",
        bound=Bound.LOWER,
    ),
    # --- credentials without an end
    *(
        Case(scheme, url, secrets, None, kind=Kind.CREDENTIAL_ONLY)
        for scheme, url, secrets in (
            (
                "telegram_bot",
                "https://api.telegram.org/bot123456789:AAEhBOweik6ad9r_QXMENQjcrGbqCr4K-bc/getFile?file_id=1",
                ("123456789:AAEhBOweik6ad9r_QXMENQjcrGbqCr4K-bc",),
            ),
            (
                "api_key",
                "https://maps.googleapis.com/maps/api/staticmap?key=AIzaSyA1234567890abcdefghijklmnopqrstuv",
                ("AIzaSyA1234567890abcdefghijklmnopqrstuv",),
            ),
            ("api_key", f"https://api.example.com/v.mp4?api_key={MD5}", (MD5,)),
            ("api_key", f"https://api.example.com/v.mp4?apikey={UID}", (UID,)),
            ("api_key", f"https://api.example.com/v.mp4?access_token={SHA1}", (SHA1,)),
            (
                "api_key",
                f"https://firebasestorage.googleapis.com/v0/b/x.appspot.com/o/v.mp4?alt=media&token={UID}",
                (UID,),
            ),
            (
                "api_key",
                "https://api.example.com/v.mp4?q=sk-proj-AbCd1234EfGh5678IjKl9012",
                ("sk-proj-AbCd1234EfGh5678IjKl9012",),
            ),
            (
                "api_key",
                "https://api.example.com/v.mp4?x=ghp_AbCd1234EfGh5678IjKl9012MnOp3456QrSt",
                ("ghp_AbCd1234EfGh5678IjKl9012MnOp3456QrSt",),
            ),
            ("azure_functions", f"https://x.azurewebsites.net/api/v?code={SHA256_B64}", (SHA256_B64,)),
            (
                "azure_logic_apps",
                f"https://prod-01.westus.logic.azure.com/workflows/{MD5}/triggers/manual/paths/invoke?sp=%2Frun&sv=1.0&sig={MD5_B64}",
                (MD5_B64,),
            ),
            ("userinfo", "https://user:pass@files.example.com/v.mp4", ("pass",)),
            ("userinfo", "https://user:p%40ss@files.example.com/v.mp4", ("p%40ss",)),
            (
                "userinfo",
                "https://ghp_AbCd1234EfGh5678IjKl9012MnOp3456QrSt@raw.example.com/v",
                ("ghp_AbCd1234EfGh5678IjKl9012MnOp3456QrSt",),
            ),
            ("userinfo", "postgresql://app:hunter2@db.example.com/x", ("hunter2",)),
        )
    ),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_scheme_is_recognised_with_its_end_and_its_secrets(case: Case) -> None:
    result = classify(case.url, created_at=case.created_at)
    assert (result.kind, result.scheme) == (case.kind, case.scheme)
    assert result.expires_at == case.expires_at
    assert result.bound is case.bound
    assert result.carries_jwt is case.carries_jwt
    assert result.retention == case.retention
    for secret in case.secrets:
        assert secret in case.url
        assert secret in result.secrets
    shown = redact(case.url)
    for secret in result.secrets:
        assert secret not in shown
    assert redact(shown) == shown
    assert not classify(shown).secrets


@pytest.mark.parametrize("case", [case for case in CASES if case.created_at is not None], ids=str)
def test_a_host_rule_without_a_creation_time_has_no_end_yet(case: Case) -> None:
    result = classify(case.url)
    assert (result.kind, result.expires_at, result.retention) == (Kind.TEMPORARY, None, case.retention)


def test_a_creation_time_without_a_zone_is_taken_as_utc() -> None:
    url = "https://replicate.delivery/a/b.mp4"
    assert classify(url, created_at=CREATED.replace(tzinfo=None)) == classify(url, created_at=CREATED)


@pytest.mark.parametrize("case", [case for case in CASES if case.secrets and str(T) in case.url], ids=str)
def test_one_file_behind_two_signatures_has_one_fingerprint(case: Case) -> None:
    other = case.url.replace(str(T), str(T + 86_399))
    for secret in sorted(case.secrets, key=len, reverse=True):
        other = other.replace(
            secret, secret[:-1].translate(str.maketrans("0123456789abc", "123456789abc0")) + secret[-1]
        )
    assert other != case.url
    if classify(other).scheme == case.scheme:
        assert fingerprint(other) == fingerprint(case.url)


def test_every_entry_of_the_table_names_its_source_and_is_exercised_here_or_by_the_signers() -> None:
    by_signers = {"gcs_v4", "gcs_v2", "cloudfront_custom", "alibaba_oss_v4", "volcengine_tos", "jwt"}
    elsewhere = {"sharepoint", "oauth_implicit", "github_raw"}
    exercised = {case.scheme for case in CASES} | by_signers | elsewhere
    for scheme in SCHEMES:
        assert scheme.source
        assert scheme.name in exercised, scheme.name


def test_an_opaque_token_of_sharepoint_ends_when_only_the_server_knows() -> None:
    url = "https://x-my.sharepoint.com/personal/a/_layouts/15/download.aspx?UniqueId=1&tempauth=v1.eyJzaXRlaWQiOiJ4In0.abc"
    result = classify(url)
    assert (result.kind, result.scheme, result.expires_at) == (Kind.TEMPORARY, "sharepoint", None)
    assert "abc" not in redact(url).rsplit("=", 1)[1]


def test_an_oauth_token_with_a_lifetime_is_temporary() -> None:
    result = classify(f"https://app.example.com/cb#access_token={SHA1}&token_type=bearer&expires_in=3600")
    assert (result.kind, result.scheme, result.expires_at) == (Kind.TEMPORARY, "oauth_implicit", None)
    assert SHA1 in result.secrets
