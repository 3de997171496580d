"""Anything a provider might send, and anything a person might ask for."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st

from video_assets.providers.base import GenerationSpec

unhurried = settings(deadline=None)
"""A busy machine is no finding."""

_SECRET = "https://cdn.example.com/a.mp4?_jwt=eyJhbGciOiJIUzI1NiJ9.eyJleHAiOjF9.c2lnbmF0dXJl"
_WORDS = [
    *("PENDING", "THROTTLED", "RUNNING", "SUCCEEDED", "FAILED", "CANCELLED"),
    *("queued", "dreaming", "completed", "failed"),
    *("2026-11-20T10:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"),
    *(_SECRET, "https://[", "http://", "INTERNAL.BAD_OUTPUT", "\ud800"),
]
_FIELDS = [
    *("id", "status", "state", "output", "assets", "video", "image", "progress", "failure", "failureCode"),
    *("failure_reason", "createdAt", "created_at", "cost", "estimatedCost", "credits", "request", "prompt"),
]
_scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.just(10**400), st.floats(), st.text(), st.sampled_from(_WORDS)
)
json_values = st.recursive(
    _scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(_FIELDS), inner, max_size=6),
    max_leaves=12,
)
json_objects = st.one_of(
    st.dictionaries(st.sampled_from(_FIELDS) | st.text(max_size=5), json_values, max_size=10),
    st.fixed_dictionaries(
        {"id": st.sampled_from(["t-1", 7]), "status": st.sampled_from(_WORDS), "state": st.sampled_from(_WORDS)},
        optional={
            "output": st.lists(st.sampled_from(_WORDS) | json_values, max_size=3),
            "assets": st.dictionaries(st.sampled_from(["video", "image"]), st.sampled_from(_WORDS)),
            "progress": _scalars,
            "createdAt": st.sampled_from(_WORDS),
            "created_at": st.sampled_from(_WORDS),
            "failure": _scalars,
            "failure_reason": _scalars,
            "cost": json_values,
        },
    ),
)

specs = st.builds(
    GenerationSpec,
    model=st.sampled_from(["gen4.5", "gen4_turbo", "veo3.1", "ray-2", "", "another"]),
    prompt=st.text(max_size=30) | st.sampled_from(["x" * 1001, "x" * 5001, "\ud800"]),
    parameters=st.dictionaries(
        st.sampled_from(
            [
                "ratio",
                "duration",
                "promptImage",
                "prompt_image",
                "videoUri",
                "model",
                "promptText",
                "aspectRatio",
                "_",
            ]
        ),
        json_values,
        max_size=4,
    ),
)
