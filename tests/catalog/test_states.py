"""The state machines as properties: whatever happens in whatever order, the status tells the truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.catalog.building import a_generation, a_job, an_output
from video_assets.catalog import GenerationStatus, JobStatus, MediaState, Output, ProviderJob
from video_assets.catalog.models import SETTLED_STATUSES
from video_assets.catalog.states import (
    GENERATION_TRANSITIONS,
    JOB_TRANSITIONS,
    IllegalTransition,
    Standing,
    move_generation,
    move_job,
    primary_outputs,
    standing,
)
from video_assets.generations.control import what_to_retry
from video_assets.providers.base import OutputKind
from video_assets.reasons import Reason

G, J, M = GenerationStatus, JobStatus, MediaState


@st.composite
def parts(draw: st.DrawFn) -> tuple[list[ProviderJob], list[Output]]:
    """Any jobs with any outputs, the impossible included."""
    jobs = [
        a_job(ordinal=ordinal, try_number=number, status=draw(st.sampled_from(J)))
        for ordinal in range(draw(st.integers(0, 3)))
        for number in range(1, draw(st.integers(1, 3)) + 1)
    ]
    outputs = [
        an_output(
            job,
            kind,
            state=draw(st.sampled_from(M)),
            reason=draw(st.none() | st.sampled_from(Reason)),
            message=draw(st.none() | st.text(max_size=5)),
        )
        for job in jobs
        for kind in draw(st.lists(st.sampled_from(OutputKind), unique=True, max_size=3))
    ]
    draw(st.randoms()).shuffle(jobs)
    return jobs, outputs


def _newest(jobs: Sequence[ProviderJob]) -> list[ProviderJob]:
    return [
        job
        for job in jobs
        if all(other.try_number <= job.try_number for other in jobs if other.ordinal == job.ordinal)
    ]


@given(parts(), st.booleans())
def test_there_is_always_one_standing_and_it_does_not_depend_on_the_order(
    found: tuple[list[ProviderJob], list[Output]], cancel: bool
) -> None:
    jobs, outputs = found
    here = standing(jobs, outputs, cancel_requested=cancel)
    assert isinstance(here.status, GenerationStatus)
    assert here.status is standing(iter(jobs[::-1]), iter(outputs), cancel_requested=cancel).status


@given(parts(), st.booleans())
def test_completed_means_that_every_version_delivered_and_every_file_is_durable(
    found: tuple[list[ProviderJob], list[Output]], cancel: bool
) -> None:
    jobs, outputs = found
    if standing(jobs, outputs, cancel_requested=cancel).status is not G.COMPLETED:
        return
    newest = _newest(jobs)
    assert newest
    assert all(job.status is J.SUCCEEDED for job in newest)
    primary = primary_outputs(outputs)
    current = {job.id for job in newest}
    assert current <= {output.job_id for output in primary if output.state is M.STORED}
    assert all(output.state is M.STORED for output in primary if output.job_id in current)


@given(parts(), st.booleans())
def test_nothing_is_settled_while_a_provider_works_or_a_file_waits(
    found: tuple[list[ProviderJob], list[Output]], cancel: bool
) -> None:
    jobs, outputs = found
    here = standing(jobs, outputs, cancel_requested=cancel)
    newest = _newest(jobs)
    current = {job.id for job in newest}
    working = any(job.status in (J.PLANNED, J.INTENDED, J.QUEUED, J.RUNNING) for job in newest)
    waiting = any(o.state is M.PENDING and o.job_id in current for o in primary_outputs(outputs))
    if working or waiting:
        assert not here.status.settled
    elif jobs:
        assert here.status.settled


@given(parts())
def test_what_ended_badly_says_why(found: tuple[list[ProviderJob], list[Output]]) -> None:
    here = standing(*found)
    if here.status in (G.FAILED, G.EXPIRED):
        assert here.message is not None
    if here.status is G.EXPIRED:
        assert here.reason in (Reason.SOURCE_EXPIRED, Reason.SOURCE_GONE, Reason.SOURCE_REFUSED)


EXAMPLES: list[tuple[GenerationStatus, list[JobStatus], list[tuple[str, MediaState, Reason | None]], bool]] = [
    (G.QUEUED, [], [], False),
    (G.QUEUED, [J.PLANNED, J.INTENDED], [], False),
    (G.PROCESSING, [J.RUNNING, J.PLANNED], [], False),
    (G.PROCESSING, [J.SUCCEEDED, J.QUEUED], [("video", M.STORED, None)], False),
    (G.STORING, [J.SUCCEEDED], [("video", M.PENDING, None)], False),
    (G.STORING, [J.SUCCEEDED, J.FAILED], [("video", M.PENDING, None)], False),
    (G.COMPLETED, [J.SUCCEEDED], [("video", M.STORED, None)], False),
    (G.COMPLETED, [J.SUCCEEDED], [("video", M.STORED, None), ("thumbnail", M.LOST, Reason.SOURCE_GONE)], False),
    (G.COMPLETED, [J.SUCCEEDED], [("video", M.STORED, None)], True),
    (G.FAILED, [J.SUCCEEDED, J.FAILED], [("video", M.STORED, None)], False),
    (G.FAILED, [J.UNCONFIRMED], [], False),
    (G.FAILED, [J.SUCCEEDED], [], False),
    (G.FAILED, [J.SUCCEEDED, J.SUCCEEDED], [("video", M.STORED, None)], False),
    (G.FAILED, [J.SUCCEEDED], [("video", M.LOST, Reason.TOO_LARGE)], False),
    (G.EXPIRED, [J.SUCCEEDED], [("video", M.LOST, Reason.SOURCE_EXPIRED)], False),
    (G.COMPLETED, [J.SUCCEEDED], [("video", M.STORED, None), ("gif", M.LOST, Reason.SOURCE_GONE)], False),
    (G.COMPLETED, [J.SUCCEEDED], [("video", M.STORED, None), ("subtitle", M.PENDING, None)], False),
    (G.EXPIRED, [J.SUCCEEDED], [("gif", M.LOST, Reason.SOURCE_GONE)], False),
    (G.FAILED, [J.SUCCEEDED], [("thumbnail", M.STORED, None)], False),
    # A cancellation that came too late stopped nothing, and hides nothing.
    (G.FAILED, [J.SUCCEEDED], [("thumbnail", M.LOST, Reason.SOURCE_GONE)], True),
    (G.FAILED, [J.ABANDONED], [], False),
    (G.CANCELLED, [J.ABANDONED], [], True),
    (G.PROCESSING, [J.ABANDONED, J.PLANNED], [], False),
    (G.CANCELLED, [J.CANCELLED], [], True),
    (G.CANCELLED, [], [], True),
]


@pytest.mark.parametrize(("expected", "jobs", "outputs", "cancel"), EXAMPLES)
def test_each_status_is_reached_the_way_a_person_expects(
    expected: GenerationStatus,
    jobs: list[JobStatus],
    outputs: list[tuple[str, MediaState, Reason | None]],
    cancel: bool,
) -> None:
    rows = [a_job(ordinal=ordinal, status=status) for ordinal, status in enumerate(jobs)]
    files = [an_output(rows[0], kind, state=state, reason=reason) for kind, state, reason in outputs]
    assert standing(rows, files, cancel_requested=cancel).status is expected


def test_every_status_has_an_example() -> None:
    assert {expected for expected, *_ in EXAMPLES} == set(GenerationStatus)


def test_a_failure_with_some_videos_saved_says_how_many() -> None:
    jobs = [a_job(ordinal=0), a_job(ordinal=1), a_job(ordinal=2, status=J.FAILED, failure_message="Moderated.")]
    outputs = [an_output(jobs[0], state=M.STORED), an_output(jobs[1], state=M.STORED)]
    assert standing(jobs, outputs) == Standing(
        G.FAILED, Reason.PROVIDER_REFUSED, "Moderated. 2 of its videos are durable."
    )


def test_what_an_older_try_lost_does_not_spoil_the_newer_one() -> None:
    jobs = [a_job(try_number=1), a_job(try_number=2)]
    outputs = [an_output(jobs[0], state=M.LOST, reason=Reason.SOURCE_GONE), an_output(jobs[1], state=M.STORED)]
    assert standing(jobs, outputs) == Standing(G.COMPLETED)


def test_a_job_that_the_provider_forgot_leaves_its_generation_expired() -> None:
    job = a_job(status=J.ABANDONED, failure_code="source_gone", failure_message="forgotten")
    assert standing([job], []) == Standing(G.EXPIRED, Reason.SOURCE_GONE, "forgotten")


def test_what_is_missing_of_a_completed_generation_is_said() -> None:
    job = a_job()
    outputs = [
        an_output(job, state=M.STORED),
        an_output(job, "gif", state=M.LOST, reason=Reason.SOURCE_GONE, message="The source no longer has it."),
    ]
    assert standing([job], outputs) == Standing(
        G.COMPLETED,
        Reason.SOURCE_GONE,
        "Complete but for gif 0, which could not be saved: The source no longer has it.",
    )


@pytest.mark.parametrize(
    ("offered", "primary"),
    [
        (["video", "thumbnail", "gif", "subtitle", "captioned", "audio"], ["video"]),
        (["captioned", "gif"], ["captioned"]),
        (["clip", "video"], ["clip", "video"]),
        (["archive", "audio"], ["archive", "audio"]),
        (["gif", "thumbnail"], ["gif"]),
        (["subtitle"], ["subtitle"]),
        (["thumbnail"], []),
    ],
)
def test_what_was_asked_for_is_told_from_what_a_job_adds(offered: list[str], primary: list[str]) -> None:
    job = a_job()
    assert [o.kind for o in primary_outputs([an_output(job, kind) for kind in offered])] == primary


@given(st.sampled_from(GenerationStatus), st.sampled_from(GenerationStatus))
def test_a_generation_moves_only_as_the_table_says(old: GenerationStatus, new: GenerationStatus) -> None:
    generation = a_generation(status=old)
    if new is old or new in GENERATION_TRANSITIONS[old]:
        move_generation(generation, new)
        assert generation.status is new
    else:
        with pytest.raises(IllegalTransition, match=f"from {old} to {new}"):
            move_generation(generation, new)
        assert generation.status is old


@given(st.sampled_from(JobStatus), st.sampled_from(JobStatus))
def test_a_job_moves_only_as_the_table_says(old: JobStatus, new: JobStatus) -> None:
    job = a_job(status=old)
    if new is old or new in JOB_TRANSITIONS[old]:
        move_job(job, new)
        assert job.status is new
    else:
        with pytest.raises(IllegalTransition, match=f"from {old} to {new}"):
            move_job(job, new)
        assert job.status is old


def test_the_tables_are_whole_every_state_is_reachable_and_the_settled_ones_are_ends() -> None:
    assert set(GENERATION_TRANSITIONS) == set(GenerationStatus)
    assert set(JOB_TRANSITIONS) == set(JobStatus)
    assert _reachable(GENERATION_TRANSITIONS, G.QUEUED) == set(GenerationStatus)
    assert _reachable(JOB_TRANSITIONS, J.PLANNED) == set(JobStatus)
    assert {status for status in J if status.settled} == {s for s, after in JOB_TRANSITIONS.items() if not after}
    assert GENERATION_TRANSITIONS[G.COMPLETED] == frozenset()
    for status in SETTLED_STATUSES - {G.COMPLETED}:
        assert GENERATION_TRANSITIONS[status] == {G.QUEUED, G.PROCESSING, G.STORING}


def _reachable(table: Mapping[Any, frozenset[Any]], start: object) -> set[object]:
    seen, ahead = {start}, [start]
    while ahead:
        new = table[ahead.pop()] - seen
        seen |= new
        ahead += new
    return seen


class Life(RuleBasedStateMachine):
    """A generation from its request to its end, several times over, in every order the world can think of.

    After each event the status is brought into line, the way ``settle`` does; it raises IllegalTransition if the
    tables forbid what can really happen.
    """

    @initialize(versions=st.integers(1, 3))
    def request(self, versions: int) -> None:
        self.generation = a_generation(versions=versions)
        self.jobs = [a_job(ordinal=ordinal, status=J.PLANNED) for ordinal in range(versions)]
        self.outputs: list[Output] = []
        self.stored: set[str] = set()

    def settle(self) -> None:
        cancel = self.generation.cancel_requested_at is not None
        move_generation(self.generation, standing(self.jobs, self.outputs, cancel_requested=cancel).status)

    @rule(data=st.data())
    def something_happens_to_a_job(self, data: st.DataObject) -> None:
        open_jobs = [job for job in _newest(self.jobs) if JOB_TRANSITIONS[job.status]]
        open_jobs = [job for job in open_jobs if job.status is not J.ABANDONED]
        if not open_jobs or self.generation.status.settled:
            return
        job = data.draw(st.sampled_from(open_jobs))
        self.move(job, JobStatus(data.draw(st.sampled_from(sorted(JOB_TRANSITIONS[job.status])))), data)

    @rule(data=st.data())
    def the_provider_speaks_of_a_job_that_was_abandoned(self, data: st.DataObject) -> None:
        abandoned = [job for job in self.jobs if job.status is J.ABANDONED]
        if abandoned:
            job = data.draw(st.sampled_from(abandoned))
            move_job(job, J.RUNNING)
            self.settle()
            self.move(job, JobStatus(data.draw(st.sampled_from(sorted(JOB_TRANSITIONS[job.status])))), data)

    def move(self, job: ProviderJob, status: JobStatus, data: st.DataObject) -> None:
        move_job(job, status)
        if status is J.SUCCEEDED:
            some = st.sampled_from(["video", "thumbnail", "clip", "gif", "captioned"])
            kinds = data.draw(st.lists(some, unique=True, max_size=3))
            self.outputs += [an_output(job, kind) for kind in kinds]
        if status is J.ABANDONED:
            job.failure_code = data.draw(st.sampled_from([None, "source_gone", "provider_error"]))
        self.settle()

    @rule(data=st.data(), state=st.sampled_from([M.STORED, M.LOST]), reason=st.sampled_from(Reason))
    def a_rescue_ends(self, data: st.DataObject, state: MediaState, reason: Reason) -> None:
        pending = [output for output in self.outputs if output.state is M.PENDING]
        if pending:
            output = data.draw(st.sampled_from(pending))
            output.state = state
            output.reason = reason if state is M.LOST else None
            if state is M.STORED:
                self.stored.add(output.id)
            self.settle()

    @precondition(lambda self: self.generation.status in (G.QUEUED, G.PROCESSING))
    @rule(data=st.data())
    def a_person_cancels(self, data: st.DataObject) -> None:
        self.generation.cancel_requested_at = self.generation.created_at
        for job in _newest(self.jobs):
            if job.status is J.PLANNED:
                move_job(job, J.CANCELLED)
            elif job.status.at_provider:
                # Stopped, finished before it could be stopped, or beyond stopping.
                move_job(job, data.draw(st.sampled_from([J.CANCELLED, job.status, J.ABANDONED])))
        self.settle()

    @precondition(lambda self: self.generation.status.settled)
    @rule(resubmit=st.booleans())
    def a_person_retries(self, resubmit: bool) -> None:
        found = what_to_retry(self.jobs, self.outputs, resubmit=resubmit)
        if not found or found.unconfirmed:
            return
        for job in found.again:
            self.jobs.append(a_job(ordinal=job.ordinal, try_number=job.try_number + 1, status=J.PLANNED))
        for job in found.asked:
            move_job(job, J.RUNNING)
        for output in found.renewed:
            output.state = M.PENDING
        self.generation.cancel_requested_at = None
        self.settle()

    @precondition(lambda self: not self.generation.status.settled)
    @rule()
    def a_person_takes_the_cancellation_back(self) -> None:
        self.generation.cancel_requested_at = None
        self.settle()

    @invariant()
    def the_status_is_the_standing(self) -> None:
        cancel = self.generation.cancel_requested_at is not None
        assert self.generation.status is standing(self.jobs, self.outputs, cancel_requested=cancel).status

    @invariant()
    def what_is_durable_stays_durable(self) -> None:
        assert self.stored == {output.id for output in self.outputs if output.state is M.STORED}


def test_a_cancellation_that_came_too_late_is_not_what_a_retry_finds() -> None:
    """Found by the machine below: cancelled while it was submitted, made, and worth a thumbnail only."""
    generation, job = a_generation(), a_job(status=J.INTENDED)
    generation.cancel_requested_at = generation.created_at
    outputs: list[Output] = []

    def settle() -> GenerationStatus:
        cancel = generation.cancel_requested_at is not None
        move_generation(generation, standing([job], outputs, cancel_requested=cancel).status)
        return GenerationStatus(generation.status)

    assert settle() is G.QUEUED
    move_job(job, J.SUCCEEDED)
    outputs.append(an_output(job, "thumbnail"))
    assert settle() is G.FAILED
    outputs[0].state = M.LOST
    assert settle() is G.FAILED
    found = what_to_retry([job], outputs, resubmit=False)
    assert (found.again, found.asked, found.renewed) == ([], [], outputs)
    outputs[0].state = M.PENDING
    generation.cancel_requested_at = None
    assert settle() is G.FAILED
    assert what_to_retry([job], outputs, resubmit=True).again == [job]


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
