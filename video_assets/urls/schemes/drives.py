"""Signed URLs of drives: where people keep files of their own and share them."""

from __future__ import annotations

import re
from datetime import timedelta

from video_assets.urls.classify.classification import Bound
from video_assets.urls.schemes.model import Scheme, epoch, in_path, path_secret, path_time, values_of

_DROPBOX_TEMPORARY = re.compile(r"^/(?:cd/[0-9]{1,4}/[a-z_]{1,20}|apitl/[0-9]{1,4})/(?P<secret>[^/]+)")
_DRIVE = re.compile(r"^/docs/securesc/(?P<secret>[a-z0-9]{16,64}/[a-z0-9]{16,64})/(?P<time>[0-9]{13})/")
_YANDEX = re.compile(r"^(?:/[a-z]{1,20}){1,3}/(?P<secret>[0-9a-f]{64})/(?P<time>[0-9a-f]{8})/.")

DRIVES: tuple[Scheme, ...] = (
    Scheme(
        name="sharepoint",
        source="OneDrive and SharePoint download URLs carry tempauth for about an hour",
        needs=("tempauth",),
        secret=("tempauth",),
    ),
    Scheme(
        name="dropbox_temporary",
        source=(
            "https://www.dropbox.com/developers/documentation/http/documentation#files-get_temporary_link"
            " (4 hours)"
        ),
        hosts=("dropboxusercontent.com",),
        when=in_path(_DROPBOX_TEMPORARY),
        secret=(path_secret(_DROPBOX_TEMPORARY),),
        retention=timedelta(hours=4),
    ),
    Scheme(
        name="google_drive",
        source=(
            "seen on docs.googleusercontent.com: /docs/securesc/<user>/<signature>/<issued at, in ms>/..."
            " (the lifetime is on the server)"
        ),
        hosts=("docs.googleusercontent.com", "googleusercontent.com"),
        when=in_path(_DRIVE),
        expires=path_time(_DRIVE, bound=Bound.LOWER),
        secret=(path_secret(_DRIVE),),
        volatile_path=_DRIVE,
    ),
    Scheme(
        name="icloud",
        source="seen on icloud-content.com (iCloud Drive and Photos): e = end, s = signature, a and k = tokens",
        hosts=("icloud-content.com", "icloud-content.com.cn"),
        needs=("s", "e"),
        expires=epoch("e"),
        secret=(values_of("s", "a", "k"),),
        volatile=("e", "r", "x", "v", "p", "ckc", "ckz", "fl", "uk"),
    ),
    Scheme(
        name="yandex_disk",
        source="seen on Yandex Disk: /disk/<signature>/<end as a hexadecimal epoch>/",
        hosts=("yandex.ru", "yandex.net", "yandex.com", "yandex.kz", "yandex.by", "yandex.com.tr"),
        when=in_path(_YANDEX),
        expires=path_time(_YANDEX, base=16),
        secret=(path_secret(_YANDEX),),
        volatile_path=_YANDEX,
    ),
)
