"""What shall happen to one job: the table of everything that can be made to go wrong, and how it is asked for.

A prompt may carry directives, ``a red kite [emulator: link_ttl=8, truncate_first=1]``; the control API takes
the same names as JSON. An unknown name or a bad value is refused, so that a test never passes by a typing error.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

_DIRECTIVES = re.compile(r"\[emulator:([^\]]*)\]")


class BadDirective(ValueError):
    """A directive that does not exist or a value it cannot take. The message names it."""


def _knob(default: Any, meaning: str) -> Any:
    return field(default=default, metadata={"meaning": meaning})


@dataclass(frozen=True, slots=True)
class JobPlan:
    """The fate of one job. ``*_first=K`` means: the first K times, then it works."""

    # the job
    queue_seconds: float = _knob(0.2, "seconds PENDING / queued before it runs (scaled by time_scale)")
    run_seconds: float = _knob(1.0, "seconds RUNNING / dreaming (scaled by time_scale)")
    polls: int = _knob(0, "if > 0 the clock is ignored: the job is done when its status was asked so often")
    fail: str = _knob("", "the generation fails with this failureCode (Runway) or failure_reason (Luma)")
    versions: int = _knob(1, "videos in the output list (Runway)")
    seconds: float = _knob(0.0, "length of the video; 0 means what the request asks for")
    size: int = _knob(0, "pad the file to exactly this many bytes, still valid and playable")
    moov_at_end: bool = _knob(False, "write the MP4 index behind the media data")
    # links
    link_ttl: float = _knob(0.0, "seconds until a link dies; 0 means the provider's usual lifetime")
    dead_links: int = _knob(0, "the first K times the finished job is asked, its links are already dead")
    refresh: str = _knob("fresh", "a finished job asked again gives: fresh links | the same ones | gone (404)")
    # the provider's API
    lose_submit: int = _knob(0, "first K submits of this prompt: job created, connection closed without answer")
    submit_errors: int = _knob(0, "first K submits of this prompt: answered with submit_status, no job created")
    submit_status: int = _knob(503, "HTTP status of those submits")
    poll_errors: int = _knob(0, "first K status requests answered with poll_status")
    poll_status: int = _knob(503, "HTTP status of those answers")
    retry_after: float = _knob(1.0, "Retry-After in seconds of every 429 and 503")
    garbage_first: int = _knob(0, "first K status answers are cut JSON")
    html_first: int = _knob(0, "first K status answers are a web page with status 200")
    odd_status: str = _knob("", "a status word outside the documented ones is reported while the job runs")
    # the bytes of its videos
    truncate_first: int = _knob(0, "first K downloads end in the middle of the promised length")
    reset_first: int = _knob(0, "first K downloads are cut by a connection reset in the middle")
    error_first: int = _knob(0, "first K downloads answered with error_status")
    error_status: int = _knob(503, "HTTP status of those downloads (429 and 503 carry Retry-After)")
    wrong_type_first: int = _knob(0, "first K downloads are a web page called video/mp4")
    bytes_per_second: int = _knob(0, "speed of every download; 0 means as fast as it goes")
    missing: bool = _knob(False, "the file is gone: 404 however fresh the link")

    def changed(self, directives: Mapping[str, Any]) -> JobPlan:
        """This plan with some fields replaced; values may be text. Raises BadDirective."""
        kinds = {f.name: type(f.default) for f in fields(self)}
        values: dict[str, Any] = {}
        for name, value in directives.items():
            if name not in kinds:
                raise BadDirective(f"unknown emulator directive {name!r}; known: {', '.join(kinds)}")
            try:
                values[name] = _convert(kinds[name], value)
            except (TypeError, ValueError):
                raise BadDirective(f"emulator directive {name!r} cannot be {value!r}") from None
        plan = replace(self, **values)
        if plan.refresh not in ("fresh", "same", "gone"):
            raise BadDirective(f"emulator directive 'refresh' cannot be {plan.refresh!r}")
        return plan

    def for_prompt(self, prompt: str) -> JobPlan:
        """This plan changed by the directives in ``prompt``. Raises BadDirective."""
        found = _DIRECTIVES.search(prompt)
        if found is None:
            return self
        directives: dict[str, str] = {}
        for part in filter(None, (p.strip() for p in found[1].split(","))):
            name, equals, value = part.partition("=")
            directives[name.strip()] = value.strip() if equals else "true"
        return self.changed(directives)


def describe() -> list[tuple[str, Any, str]]:
    """Every directive with its default and meaning, for the control page."""
    return [(f.name, f.default, f.metadata["meaning"]) for f in fields(JobPlan)]


def _convert(kind: type, value: Any) -> Any:
    if kind is bool:
        words = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
        if str(value).lower() not in words:
            raise ValueError(value)
        return words[str(value).lower()]
    converted = kind(value)
    if isinstance(converted, int | float) and converted < 0:
        raise ValueError(value)
    return converted
