"""Which output of a job a dead link was: certain, or not at all."""

from __future__ import annotations

from typing import Any, cast

import pytest

from tests.legacy.bench import signed
from video_assets.legacy.rescue.refresh import Wanted, fresh_link
from video_assets.providers import UnknownProvider
from video_assets.providers.base import (
    JobSnapshot,
    JobState,
    KeyRefused,
    OfferedOutput,
    OutputKind,
    Provider,
    TaskUnknown,
)
from video_assets.transfer.rescue.target import LinkGone, LinkUnavailable
from video_assets.urls import fingerprint


class Acme:
    """A provider that nobody has heard of yet: only the contract is used."""

    title = "Acme"
    refreshes = "by_task"

    def __init__(self, *outputs: tuple[OutputKind, int, str], state: JobState = JobState.SUCCEEDED) -> None:
        self.outputs = [OfferedOutput(*output) for output in outputs]
        self.state = state
        self.error: Exception | None = None

    def poll(self, task_id: str) -> JobSnapshot:
        if self.error is not None:
            raise self.error
        return JobSnapshot(task_id, self.state, str(self.state), outputs=self.outputs)


def ask(acme: Acme, **more: Any) -> tuple[str, str]:
    """The fresh link and what it was matched by."""
    values = {"kind": "video", "fingerprint": "-", "provider": "acme", "task_id": "t1", **more}
    fresh = fresh_link(Wanted(**values), lambda _name: cast(Provider, acme))
    return fresh.url, fresh.matched_by


VIDEO, CLIP, THUMBNAIL = OutputKind.VIDEO, OutputKind.CLIP, OutputKind.THUMBNAIL
A, B, C = signed("a.mp4"), signed("b.mp4"), signed("t.jpg")


def test_the_same_path_under_a_new_signature_is_the_same_file() -> None:
    old = fingerprint(signed("b.mp4", signature="00" * 32))
    assert ask(Acme((VIDEO, 0, A), (VIDEO, 1, B)), fingerprint=old) == (B, "fingerprint")


def test_a_job_with_one_video_leaves_no_doubt() -> None:
    assert ask(Acme((VIDEO, 0, A), (THUMBNAIL, 0, C))) == (A, "only one")
    assert ask(Acme((VIDEO, 0, A), (THUMBNAIL, 0, C)), kind="thumbnail") == (C, "only one")
    assert ask(Acme((CLIP, 0, A))) == (A, "only one")


def test_of_several_the_name_of_the_file_tells() -> None:
    assert ask(Acme((VIDEO, 0, A), (VIDEO, 1, B)), name="b.mp4") == (B, "name")


def test_of_several_the_place_among_all_of_them_tells() -> None:
    acme = Acme((VIDEO, 1, B), (VIDEO, 0, A))
    assert ask(acme, position=1, siblings=2) == (B, "position")
    assert ask(acme, position=0, siblings=2) == (A, "position")


@pytest.mark.parametrize("more", [{}, {"position": 0, "siblings": 3}, {"name": "c.mp4"}])
def test_a_guess_is_never_made(more: dict[str, Any]) -> None:
    with pytest.raises(LinkGone, match="nothing tells which"):
        ask(Acme((VIDEO, 0, A), (VIDEO, 1, B)), **more)


@pytest.mark.parametrize(
    ("acme", "more", "message"),
    [
        (Acme((THUMBNAIL, 0, C)), {}, "no longer offers a video"),
        (Acme(state=JobState.FAILED), {}, "says that t1 failed"),
        (Acme((VIDEO, 0, A)), {"task_id": None}, "names no job"),
        (Acme((VIDEO, 0, A)), {"provider": None}, "names no job"),
    ],
)
def test_when_there_is_none_the_reason_is_told(acme: Acme, more: dict[str, Any], message: str) -> None:
    with pytest.raises(LinkGone, match=message):
        ask(acme, **more)


def test_one_answer_that_a_job_is_unknown_settles_nothing_and_a_missing_key_can_be_set_later() -> None:
    acme = Acme((VIDEO, 0, A))
    acme.error = TaskUnknown("404")
    with pytest.raises(TaskUnknown):
        ask(acme)
    acme.error = KeyRefused("set the key")
    with pytest.raises(LinkUnavailable, match="set the key"):
        ask(acme)
    acme.error, acme.state = None, JobState.RUNNING
    with pytest.raises(LinkUnavailable, match="still working"):
        ask(acme)


def test_a_provider_that_gives_each_link_once_is_not_asked() -> None:
    acme = Acme((VIDEO, 0, A))
    acme.refreshes = "no"
    with pytest.raises(LinkGone, match="once only"):
        ask(acme)


def test_a_provider_that_is_not_known_here_is_named() -> None:
    def unknown(name: str) -> Provider:
        raise UnknownProvider(name)

    with pytest.raises(LinkGone, match="'acme'"):
        fresh_link(Wanted("video", "-", "acme", "t1"), unknown)
