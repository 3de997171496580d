"""What only looks temporary: a false alarm here would make people re-upload or hide what is public for ever."""

from __future__ import annotations

import hashlib

import pytest

from video_assets.urls import Kind, classify, fingerprint, redact

MD5 = hashlib.md5(b"video", usedforsecurity=False).hexdigest()
SHA1 = hashlib.sha1(b"video", usedforsecurity=False).hexdigest()
SHA256 = hashlib.sha256(b"video").hexdigest()

PERMANENT = [
    # public objects
    "https://x.supabase.co/storage/v1/object/public/videos/u/1.mp4",
    "https://x.supabase.co/storage/v1/render/image/public/videos/u/1.png?width=300",
    "https://x.supabase.co/storage/v1/object/public/sign/in.mp4?v=2",
    "https://bucket.s3.amazonaws.com/a/b.mp4",
    "https://bucket.s3.amazonaws.com/a/b.mp4?versionId=3sL4kqtJlcpXroDTDmJ.rmSpXd3dIbrHY.MTRCxf3vjVBH40Nr8X8gdRQBpUMLUo",
    "https://bucket.s3.amazonaws.com/a/b.mp4?X-Amz-Expires=3600",
    "https://bucket.s3.amazonaws.com/a/b.mp4?response-content-disposition=attachment%3B%20filename%3Da.mp4",
    "https://bucket.s3.amazonaws.com/a/b.mp4?x-id=GetObject&partNumber=1",
    "https://storage.googleapis.com/bucket/a.mp4?generation=1700000000000000",
    "https://firebasestorage.googleapis.com/v0/b/x.appspot.com/o/v.mp4?alt=media",
    "https://acct.blob.core.windows.net/c/v.mp4?snapshot=2026-01-01T00:00:00.0000000Z",
    "https://acct.blob.core.windows.net/c/v.mp4?sv=2024-08-04&restype=container",
    "https://pub-0123456789abcdef0123456789abcdef.r2.dev/v.mp4",
    "https://f002.backblazeb2.com/file/bucket/v.mp4",
    "https://bucket.oss-cn-beijing.aliyuncs.com/v.mp4?x-oss-process=video/snapshot,t_1000,f_jpg",
    "https://b-125.cos.ap-guangzhou.myqcloud.com/v.mp4?imageMogr2/thumbnail/300x",
    # words and addresses under the names of secrets
    "https://example.com/login?password=reset",
    "https://example.com/swap?token=0xc85a1c381e532aed95401a9f6ea4de0051bacd77",
    "https://example.com/a?q=AT%26T%20news&x=1%262",
    # cache busters and counters
    "https://cdn.example.com/a.js?v=1699999999",
    "https://cdn.example.com/a.js?t=1699999999",
    "https://cdn.example.com/a.js?ts=1699999999999",
    "https://cdn.example.com/a.js?_=1699999999999",
    f"https://cdn.example.com/a.js?v={MD5}",
    f"https://cdn.example.com/a.js?h={SHA1}",
    f"https://cdn.example.com/a.{MD5}.js",
    f"https://cdn.example.com/{SHA256}/v.mp4",
    f"https://cdn.example.com/{MD5}/v.mp4",
    f"https://cdn.example.com/media/{MD5}/thumbs/v.mp4",
    "https://gitlab.com/x/-/raw/0123456789abcdef0123456789abcdef01234567/a.mp4",
    "https://cdn.example.com/wp-content/uploads/2026/11/v.mp4?x=1",
    "https://cdn.example.com/video-1.2.3.mp4",
    "https://cdn.example.com/npm/video.js@8.3.0/dist/video.min.js",
    "https://cdn.example.com/eyes.view.new/ew.ey.er",
    # ordinary words
    "https://example.com/what-expires-when-a-signature-is-stale",
    "https://example.com/search?q=expires+signature+token",
    "https://example.com/?title=Token%20expires%3A%20tomorrow",
    "https://example.com/?expires=never&signature=none",
    "https://example.com/?exp=1&s=thumbnail",
    "https://example.com/?deadline=1800000000",
    "https://example.com/?expires=1800000000",
    "https://example.com/?expires=1800000000&hash=true",
    "https://example.com/?expires=1800000000&s=large&t=12",
    "https://example.com/?exp=experiment-a&token=free-trial",
    "https://example.com/?token=free-trial-2024",
    "https://example.com/?key=videos/2024/clip.mp4",
    "https://example.com/?key=my-summer-holiday-video-final",
    "https://example.com/?key=1234567890123456",
    "https://example.com/?password=&secret=",
    "https://example.com/?access_token=",
    "https://example.com/list?page_token=CAUQAA0123456789abcdefXYZ&limit=3",
    "https://example.com/list?pageToken=EAAaBlBUOkNBVQ0123456789&nextToken=AbC0123456789dEf",
    "https://example.com/list?continuation=4qmFsgKbAhIYVUN1QVhGa2dzdzFMN3hhQ2Zu",
    "https://example.com/list?cursor=eyJpZCI6MTIzfQ&order=asc",
    "https://example.com/a?utm_source=x&utm_medium=y&utm_campaign=expires&gclid=Cj0KCQiA0123456789abcdef",
    "https://example.com/a?fbclid=IwAR0123456789abcdefGHIJKLMNOP",
    "https://example.com/share/0b5c8c3e-4f9d-4c8e-9b7a-2f1d3e5a7c9b",
    "https://www.dropbox.com/s/abc123def456/v.mp4?dl=1",
    "https://dl.dropboxusercontent.com/s/abc123def456/v.mp4",
    "https://drive.google.com/uc?export=download&id=1A2b3C4d5E6f7G8h9I0jKlMnOpQrStUv",
    "https://medium.com/@user/an-e-mail-me@example.com-in-the-path",
    "https://example.com/users/me@example.com/v.mp4",
    "https://user@example.com/v.mp4",
    "mailto:user@example.com",
    # signatures that only protect a transformation
    f"https://x.imgix.net/a.png?w=400&s={MD5}",
    "https://res.cloudinary.com/demo/image/upload/s--AbCd1234--/w_300/v1699999999/sample.jpg",
    "https://thumbor.example.com/1ZtzRk4x9mSRGbhkkE5yhGKkq4E=/300x200/smart/example.com/a.jpg",
    "https://imgproxy.example.com/AfrOrF3gWeDA6VOlDG4TzxMv39O7MXnF4CXpKUwGqRM/rs:fit:300/plain/https://example.com/a.jpg@webp",
    f"https://camo.githubusercontent.com/{SHA256}/68747470733a2f2f6578616d706c652e636f6d2f612e706e67",
    f"https://preview.redd.it/abc.jpg?width=640&crop=smart&auto=webp&s={SHA1}",
    "https://i.ytimg.com/vi/abc/hqdefault.jpg?sqp=-oaymwEcCNACELwBSFXyq4qpAw4IARUAAIhCGAFwAcABBg==&rs=AOn4CLAbCdEf0123456789",
    f"https://player.vimeo.com/external/123.hd.mp4?s={SHA1}&profile_id=175&oauth2_token_id=57447761",
    # hosts that merely end, or begin, like a known one
    "https://notreplicate.delivery/a/b.mp4",
    "https://evilreplicate.delivery/a/b.mp4",
    "https://replicate.delivery.example.com/a/b.mp4",
    "https://example.com/replicate.delivery/a/b.mp4",
    "https://replicate.com/p/abc",
    "https://aiquickdraw.com/v.mp4",
    "https://nottempfile.example.com/v.mp4",
    "https://tempfile.aiquickdraw.com.example.com/v.mp4",
    "https://klingai.com/share/bs2/x",
    "https://notklingai.com/bs2/v.mp4",
    "https://v3.fal.media/files/a/b.mp4",
    "https://storage.cdn-luma.com/dream_machine/a/v.mp4",
    "https://cdn.discordapp.com/emojis/123.png",
    "https://cdn.discordapp.com/avatars/1/a_0123456789abcdef0123456789abcdef.gif?size=128",
    f"https://customer-abc.cloudflarestream.com/{MD5}/manifest/video.m3u8",
    f"https://videodelivery.net/{MD5}/thumbnails/thumbnail.jpg?time=4s",
    "https://imagedelivery.net/ZWd9g1K7/abc/public",
    "https://embed-ssl.wistia.com/deliveries/0123456789abcdef0123456789abcdef01234567.bin",
    "https://stream.mux.com/abc/high.mp4",
    "https://img.shields.io/badge/expires-1800000000-green",
    "https://b.s3.us-west-004.backblazeb2.com/renders/v.mp4",
    # what hosts that delete keep: weights, the pictures of their own site, examples; and their bare origins
    "https://weights.replicate.delivery/default/black-forest-labs/FLUX.1-dev/files.tar",
    "https://tjzk.replicate.delivery/models_models_featured_image/4c07cacc-d206-4587-9357-8e4e81cd761a/cover.webp",
    "https://replicate.delivery",
    "https://replicate.delivery/",
    "https://tempfile.aiquickdraw.com",
    "https://tempfile.redpandaai.co/",
    "https://vidgen.x.ai",
    "https://s16-def.ap4r.com/kos/s101/nlav112154/aiwebui/logo.png",
    "https://static.runware.ai/image/logo.png",
    "https://im.runware.ai/",
    "https://d1q70pf5vjeyhc.cloudfront.net/media/images/cover.png",
    "https://cdn.example.com/predictions/1.mp4",
    "https://api.together.ai/models",
    "https://api.openai.com/v1/videos",
    "https://example.com/v1/videos/17/content",
    "https://filecdn.minimax.chat/public/logo.png",
    "https://cdn.creatomate.com/files/assets/logo.png",
    "https://dashscope.aliyuncs.com/",
    "https://bfl.ai/blog/a.png",
    # names of a scheme with values that are neither a time nor a signature
    "https://example.com/?key-pair-id=5&signature=bold",
    "https://example.com/?policy=privacy&signature=none&key-pair-id=1",
    "https://example.com/fonts?keyname=Arial&signature=none&expires=never",
    "https://example.com/?sr=1&se=south-east&sig=large",
    "https://example.com/?sv=en&si=metre&sig=none",
    "https://example.com/?ssig=large&expires=soon",
    "https://example.com/?txSecret=no&txTime=later",
    "https://example.com/?wsSecret=a&wsTime=b",
    "https://example.com/?token-hash=x&token-time=y",
    "https://example.com/?temp_url_sig=a&temp_url_expires=b",
    "https://example.com/?expirationTimestamp=1&signature=none",
    "https://example.com/?x-expires=1&x-signature=0",
    "https://example.com/?upsig=a&deadline=monday",
    "https://example.com/?ik-s=a&ik-t=b",
    "https://example.com/?pbs=a&pbe=b",
    "https://example.com/security=policy:privacy,signature:none/handbook",
    f"https://example.com/security=p:eyJhIjoxfQ,s:{SHA256}/handbook",
    "https://example.com:443@/",
    "https://example.com/?expires%3Dnever%26signature%3Dnone",
    "https://example.com/?q%3D1795000000%26page%3D2",
    "https://example.com/p/handbook-of-storage/n/ns/b/bucket/o/readme",
    "https://example.com/expire/1800000000/sig/small/v.mp4",
    "https://x.imgix.net/a.png?expires=never",
    f"https://x.imgix.net/a.png?expires=never&s={MD5}",
    "https://media.licdn.com/v?e=1&v=beta&t=x",
    # eight digits beside a digest that are no time
    f"https://cdn.example.com/{MD5}/cafebabe/app.js",
    f"https://cdn.example.com/static/{SHA1}/deadbeef/app.js",
    # a URL as the whole query, and a list of settings
    "https://proxy.example.com/?https%3A%2F%2Fexample.com%2Fv.mp4%3Fv%3D1800000000",
    "https://example.com/list?filter[expires]=2027-01-15&filter[hash]=tag",
    "https://img.example.com/eyJidWNrZXQiOiJ4Iiwia2V5IjoiYS5wbmciLCJlZGl0cyI6e319.png",
    # a date and a digest that name a backup or a build, and numbers that are no time
    f"https://cdn.example.com/backups/20270115160000/{MD5}/v.mp4",
    f"https://cdn.example.com/20271315160000/{MD5}/v.mp4",
    f"https://cdn.example.com/20270115166099/{MD5}/v.mp4",
    f"https://cdn.example.com/20270115160000/{SHA1}/v.mp4",
    f"https://github.com/x/y/archive/{SHA1}.tar.gz",
    f"https://yandex.ru/images/disk/{SHA256}/",
    # names that may hold a secret, with words, settings and identifiers
    "https://example.com/a?key=PlayerView",
    "https://example.com/a?key=VideoPlayer2",
    "https://example.com/a?key=Season1Ep2",
    "https://example.com/a?key=fooBarBaz1",
    "https://example.com/a?key=abcdefghij",
    "https://example.com/a?pkey=12",
    "https://example.com/a?pkey=primary",
    "https://example.com/a?vkey=main",
    "https://example.com/a?hmac=sha256&jwt=HS256",
    "https://example.com/a?session_id=winter",
    "https://example.com/a?session_id=1234&cookie=accept",
    "https://example.com/schedule?pbs=kids",
    "https://example.com/oai?verb=ListRecords&resumptionToken=Ab3dE9xQ2zLmN0pRsTuV",
    "https://example.com/v1?$skiptoken=Ab3dE9xQ2zLmN0pRsTuV",
    "https://example.com/swap?tokenAddress=EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v",
    "https://example.com/a?token_type=Bearer&signature_algorithm=RSA-SHA256",
    f"https://example.com/a?cacheKey={MD5}",
    "https://example.com/a?access_token=YOUR_ACCESS_TOKEN",
    "https://example.com/a?api_key={apiKey}&auth_token=%7Btoken%7D",
    "https://example.com/a?auth_token=$SAS_TOKEN",
    "https://example.com/a?img-expires=3600&img-sign=large",
    "https://example.com/a?cache-expires=1800000000&cache-key=main",
    "https://live.example.com/a.m3u8?wmsAuthSign=none",
    # hosts of block chain nodes without a key
    "https://rpc.ankr.com/eth",
    "https://eth-mainnet.public.blastapi.io/",
    "https://www.alchemy.com/docs/how-to-create-an-api-key-and-use-it-everywhere",
    "https://docs.infura.io/api/networks/ethereum/json-rpc-methods/eth_getblockbynumber",
    f"https://etherscan.io/tx/0x{SHA256}",
    "https://chatgpt.com/backend-api/estuary/content?id=file-Ab1",
    # relative and empty
    "/api/v3/videos/1/combined",
    "videos/1.mp4",
    "",
    " ",
    "?",
    "#",
    "https://",
    "not a url at all",
    "data:video/mp4;base64,AAAAIGZ0eXBpc29tAAACAGlzb21pc28yYXZjMW1wNDE=",
]


PLACEHOLDERS = [
    "https://b.s3.amazonaws.com/v.mp4?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=A&X-Amz-Signature={signature}",
    "https://b.s3.amazonaws.com/v.mp4?X-Amz-Credential=<credential>&X-Amz-Date=20270115T070000Z&X-Amz-Signature=<sig>",
    "https://b.s3.amazonaws.com/v.mp4?X-Amz-Credential=AKIA&X-Amz-Signature=#{signature}",
    "https://b.s3.amazonaws.com/v.mp4?X-Amz-Date=20270115T070000Z&X-Amz-Credential=AKIA&X-Amz-Signature=***",
    "https://d1.cloudfront.net/v.mp4?Expires=1800000000&Signature=YOUR_SIGNATURE&Key-Pair-Id=YOUR_KEY",
    "https://d1.cloudfront.net/v.mp4?Expires=1800000000&Signature=[REDACTED]&Key-Pair-Id=K1",
    "https://cdn.example.com/v.mp4?token={token}&expires=1800000000",
    "https://cdn.example.com/v.mp4?token=%7Btoken%7D&expires=1800000000",
    "https://cdn.example.com/v.mp4?token=[FILTERED]",
    "https://cdn.example.com/v.mp4?api_key=your-api-key",
    "https://${PAT}@github.com/a/b.git",
    "https://x-access-token:${{ secrets.PAT }}@github.com/a/b.git",
    "https://user:***@files.example.com/v.mp4",
    "https://user:<password>@files.example.com/v.mp4",
]
"""A secret's place in a template, a manual or a masked log."""


@pytest.mark.parametrize("url", [*PERMANENT, *PLACEHOLDERS])
def test_a_lookalike_stays_permanent(url: str) -> None:
    result = classify(url)
    assert (result.kind, result.scheme, result.expires_at, result.secrets) == (Kind.PERMANENT, None, None, ())
    assert result.carries_jwt is False
    assert result.is_persistable


@pytest.mark.parametrize(
    "url",
    [
        url
        for url in PERMANENT
        if "://" in url and not any(s in url for s in ("s=", "password", "sig=", "signature"))
    ],
)
def test_redacting_a_lookalike_changes_nothing(url: str) -> None:
    assert redact(url) == url


def test_version_and_file_ids_keep_fingerprints_apart() -> None:
    base = "https://bucket.s3.amazonaws.com/v.mp4"
    assert len({fingerprint(f"{base}?versionId={v}") for v in ("a", "b")} | {fingerprint(base)}) == 3
