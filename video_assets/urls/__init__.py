"""URL intelligence: what a URL is, when it dies, what in it is secret. Pure functions, no I/O.

``classify`` says what one URL is, ``find`` and ``replace`` work on whole documents, ``redact`` makes any
text safe to show, ``fingerprint`` names the file behind a URL whatever its signature.
"""

from video_assets.urls.classify.classification import Bound, Classification, Kind
from video_assets.urls.classify.classify import classify
from video_assets.urls.classify.fingerprint import fingerprint
from video_assets.urls.documents.triggers import may_contain
from video_assets.urls.find.find import Finding, find
from video_assets.urls.find.replace import replace
from video_assets.urls.host_rules import NO_RULES, HostRules, InvalidHostRule, host_rules
from video_assets.urls.redact.logging import RedactingFilter, install_redaction
from video_assets.urls.redact.redact import redact

__all__ = [
    "NO_RULES",
    "Bound",
    "Classification",
    "Finding",
    "HostRules",
    "InvalidHostRule",
    "Kind",
    "RedactingFilter",
    "classify",
    "find",
    "fingerprint",
    "host_rules",
    "install_redaction",
    "may_contain",
    "redact",
    "replace",
]
