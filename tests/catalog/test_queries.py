"""What the catalog answers: what is there, what is due and in which order, what stands still."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.exc import IntegrityError

from tests.catalog.building import a_file, a_generation, a_job, an_output
from video_assets.catalog import (
    Catalog,
    Generation,
    GenerationStatus,
    JobStatus,
    MediaState,
    Output,
    leases,
    queries,
)

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def _with_outputs(catalog: Catalog, **outputs: dict[str, object]) -> None:
    """One generation whose job offers an output per keyword; the keyword becomes its id."""
    with catalog.write() as session:
        session.add(a_generation())
        session.flush()
        session.add(job := a_job())
        session.flush()
        for index, (name, values) in enumerate(outputs.items()):
            row = an_output(job, index=index, created_at=NOW + index * MINUTE, **values)
            row.id = name
            session.add(row)


def _due(catalog: Catalog, **asked: object) -> list[str]:
    with catalog.read() as session:
        rows = queries.outputs_due(session, now=NOW, **{"limit": 100, **asked})  # type: ignore[arg-type]
        return [row.id for row in rows]


def test_what_dies_first_is_rescued_first_and_what_tells_no_deadline_comes_last(catalog: Catalog) -> None:
    _with_outputs(
        catalog,
        unknown_older={},
        tomorrow={"deadline_at": NOW + timedelta(days=1)},
        unknown_younger={},
        soon={"deadline_at": NOW + MINUTE},
        dead_already={"deadline_at": NOW - timedelta(days=1)},
    )
    order = ["dead_already", "soon", "tomorrow", "unknown_older", "unknown_younger"]
    assert _due(catalog) == order
    assert _due(catalog, limit=2) == order[:2]


def test_only_pending_outputs_are_due(catalog: Catalog) -> None:
    _with_outputs(catalog, a={}, b={"state": MediaState.STORED}, c={"state": MediaState.LOST})
    assert _due(catalog) == ["a"]


def test_a_pause_between_tries_is_kept_unless_a_person_asks(catalog: Catalog) -> None:
    later = NOW + timedelta(microseconds=1)
    _with_outputs(
        catalog,
        now={"next_attempt_at": NOW},
        dying={"next_attempt_at": later, "deadline_at": NOW + MINUTE},
        waiting={"next_attempt_at": later, "deadline_at": NOW + 2 * MINUTE},
        waiting_for_ever={"next_attempt_at": later},
    )
    assert _due(catalog) == ["now"]
    assert _due(catalog, dies_before=NOW + MINUTE) == []
    assert _due(catalog, force=True) == ["dying", "waiting", "now", "waiting_for_ever"]


def test_the_horizon_parts_what_dies_soon_from_everything_else(catalog: Catalog) -> None:
    _with_outputs(
        catalog,
        dead={"deadline_at": NOW - MINUTE},
        dying={"deadline_at": NOW + MINUTE},
        calm={"deadline_at": NOW + 2 * MINUTE},
        unknown={},
    )
    assert _due(catalog, dies_before=NOW + MINUTE) == ["dead", "dying"]
    assert _due(catalog, dies_after=NOW + MINUTE) == ["calm", "unknown"]


def test_what_another_worker_holds_is_left_out_until_its_lease_ends(catalog: Catalog) -> None:
    _with_outputs(catalog, free={}, held={}, abandoned={}, released={})
    with catalog.write() as session:
        leases.acquire(session, "output:held", "w", ttl=MINUTE, now=NOW)
        leases.acquire(session, "output:abandoned", "w", ttl=MINUTE, now=NOW - MINUTE)
        claim = leases.acquire(session, "output:released", "w", ttl=MINUTE, now=NOW)
        assert claim is not None
        leases.release(session, claim, now=NOW)
        leases.acquire(session, "generation:free", "w", ttl=MINUTE, now=NOW)
    assert _due(catalog) == ["free", "abandoned", "released"]


def test_what_is_due_and_free_can_really_be_taken(catalog: Catalog) -> None:
    """The question and the lease agree at the very moment when a lease ends."""
    _with_outputs(catalog, one={})
    with catalog.write() as session:
        leases.acquire(session, "output:one", "first", ttl=MINUTE, now=NOW - MINUTE)
    assert _due(catalog) == ["one"]
    with catalog.write() as session:
        assert leases.acquire(session, "output:one", "second", ttl=MINUTE, now=NOW) is not None


def test_outputs_of_some_generations_only(catalog: Catalog) -> None:
    _with_outputs(catalog, one={})
    assert _due(catalog, generation_ids=["video-1", "video-2"]) == ["one"]
    assert _due(catalog, generation_ids=["video-2"]) == []
    assert _due(catalog, generation_ids=[]) == []


def test_paging_shows_every_generation_once_newest_first_even_those_of_one_moment(catalog: Catalog) -> None:
    with catalog.write() as session:
        for number in range(10):
            session.add(a_generation(f"video-{number}", created_at=NOW + (number // 4) * MINUTE))
    seen: list[str] = []
    before: datetime | None = None
    before_id: str | None = None
    while True:
        with catalog.read() as session:
            page = queries.list_generations(session, limit=3, before=before, before_id=before_id)
        if not page:
            break
        seen += [row.id for row in page]
        before, before_id = page[-1].created_at, page[-1].id
    assert seen == [f"video-{number}" for number in reversed(range(10))]


def test_listing_filters_by_owner_status_provider_and_campaign(catalog: Catalog) -> None:
    with catalog.write() as session:
        session.add(a_generation("mine", owner="ann", provider="luma", campaign="spring"))
        session.add(a_generation("done", owner="ann", status=GenerationStatus.COMPLETED))
        session.add(a_generation("hers", owner="eve"))
    with catalog.read() as session:

        def ids(**filters: object) -> set[str]:
            return {row.id for row in queries.list_generations(session, **filters)}  # type: ignore[arg-type]

        assert ids() == {"mine", "done", "hers"}
        assert ids(owner="ann") == {"mine", "done"}
        assert ids(owner="eve") == {"hers"}
        assert ids(status=GenerationStatus.COMPLETED) == {"done"}
        assert ids(provider="luma") == {"mine"}
        assert ids(campaign="spring", owner="ann") == {"mine"}
        assert ids(campaign="spring", owner="eve") == set()
        assert queries.count_by_status(session) == {"queued": 2, "completed": 1}


def test_an_unknown_generation_is_named_with_the_next_step(catalog: Catalog) -> None:
    with (
        catalog.read() as session,
        pytest.raises(queries.GenerationNotFound, match=r"'video-7'.*video-assets list"),
    ):
        queries.get_generation(session, "video-7")


def test_one_owner_uses_an_idempotency_key_once_and_owners_do_not_share_keys(catalog: Catalog) -> None:
    with catalog.write() as session:
        session.add(a_generation("first", owner="ann", idempotency_key="k"))
        session.add(a_generation("other", owner="eve", idempotency_key="k"))
        session.add_all([a_generation("none-1"), a_generation("none-2")])
    with pytest.raises(IntegrityError), catalog.write() as session:
        session.add(a_generation("second", owner="ann", idempotency_key="k"))
    with catalog.read() as session:
        found = queries.by_idempotency_key(session, "ann", "k")
        assert found is not None
        assert found.id == "first"
        assert queries.by_idempotency_key(session, "zoe", "k") is None
        assert session.get(Generation, "second") is None


def test_submission_takes_whatever_has_a_job_to_send_or_to_clear_up_oldest_first(catalog: Catalog) -> None:
    planned, intended, running = JobStatus.PLANNED, JobStatus.INTENDED, JobStatus.RUNNING
    with catalog.write() as session:
        for age, (name, status, jobs, cancelled) in enumerate(
            [
                ("younger", GenerationStatus.QUEUED, [planned], None),
                ("older", GenerationStatus.QUEUED, [planned], None),
                ("stopped", GenerationStatus.CANCELLED, [JobStatus.CANCELLED], NOW),
                ("sent", GenerationStatus.PROCESSING, [running], None),
                ("sent in part", GenerationStatus.PROCESSING, [running, planned], None),
                ("cancelled in the middle", GenerationStatus.QUEUED, [intended], NOW),
            ]
        ):
            created = NOW - age * MINUTE
            session.add(a_generation(name, created_at=created, status=status, cancel_requested_at=cancelled))
            session.flush()
            session.add_all(a_job(name, ordinal, status=word) for ordinal, word in enumerate(jobs))
    with catalog.read() as session:
        found = [row.id for row in queries.generations_to_submit(session, limit=9)]
        assert found == ["cancelled in the middle", "sent in part", "older", "younger"]
        assert [row.id for row in queries.generations_to_submit(session, limit=1)] == found[:1]
        interrupted = queries.generations_to_submit(session, limit=9, interrupted=True)
        assert [row.id for row in interrupted] == ["cancelled in the middle"]
        assert queries.generations_to_submit(session, limit=9, provider="luma") == []
        assert queries.providers_to_submit_to(session) == ["runway"]
        assert queries.jobs_under_way(session, "runway") == 3


def test_jobs_are_polled_longest_overdue_first_and_settled_ones_never(catalog: Catalog) -> None:
    polls = {
        JobStatus.RUNNING: NOW - MINUTE,
        JobStatus.QUEUED: NOW - 2 * MINUTE,
        JobStatus.SUCCEEDED: NOW - 3 * MINUTE,
        JobStatus.FAILED: NOW - 3 * MINUTE,
        JobStatus.CANCELLED: NOW - 3 * MINUTE,
        JobStatus.PLANNED: NOW - 3 * MINUTE,
        JobStatus.INTENDED: NOW - 3 * MINUTE,
        JobStatus.UNCONFIRMED: NOW - 3 * MINUTE,
    }
    with catalog.write() as session:
        session.add(a_generation())
        session.flush()
        for ordinal, (status, moment) in enumerate(polls.items()):
            session.add(a_job(ordinal=ordinal, status=status, next_poll_at=moment))
        session.add(a_job(ordinal=20, status=JobStatus.RUNNING, next_poll_at=NOW + timedelta(microseconds=1)))
        session.add(a_job(ordinal=21, status=JobStatus.RUNNING, next_poll_at=None))
    with catalog.read() as session:
        found = [job.ordinal for job in queries.jobs_due(session, now=NOW, limit=9)]
        assert found == [21, 1, 0]
        assert [job.ordinal for job in queries.jobs_due(session, now=NOW, limit=2)] == [21, 1]


def test_a_generation_is_stuck_when_nothing_happened_for_too_long_and_it_is_not_settled(catalog: Catalog) -> None:
    old, older = NOW - 61 * MINUTE, NOW - 90 * MINUTE
    with catalog.write() as session:
        for status in GenerationStatus:
            session.add(a_generation(f"old-{status}", status=status, updated_at=old))
        session.add(a_generation("older", status=GenerationStatus.PROCESSING, updated_at=older))
        session.add(a_generation("recent", status=GenerationStatus.PROCESSING, updated_at=NOW - 60 * MINUTE))
    with catalog.read() as session:
        found = [row.id for row in queries.stuck_generations(session, now=NOW, after=60 * MINUTE)]
    assert found[0] == "older"
    assert set(found[1:]) == {"old-queued", "old-processing", "old-storing"}


def test_settled_generations_leave_the_partitions_once_oldest_first(catalog: Catalog) -> None:
    with catalog.write() as session:
        for number, status in enumerate(GenerationStatus):
            session.add(a_generation(status, status=status, updated_at=NOW - (20 - number) * MINUTE))
        session.add(
            a_generation("gone", status=GenerationStatus.FAILED, updated_at=NOW - 30 * MINUTE, retired_at=NOW)
        )
        session.add(a_generation("fresh", status=GenerationStatus.FAILED, updated_at=NOW))
    with catalog.read() as session:
        found = queries.retirable_generations(session, settled_before=NOW)
        assert found == ["completed", "failed", "cancelled", "expired"]
        assert queries.retirable_generations(session, settled_before=NOW, limit=2) == ["completed", "failed"]


def test_uploads_that_were_begun_and_never_committed_are_found(catalog: Catalog) -> None:
    _with_outputs(catalog, a={}, b={}, c={})
    with catalog.write() as session:
        for name, state, age in (("a", "pending", 5), ("b", "stored", 5), ("c", "pending", 1)):
            output = session.get_one(Output, name)
            session.add(a_file(output, state=MediaState(state), updated_at=NOW - age * MINUTE))
    with catalog.read() as session:
        assert [row.id for row in queries.pending_media(session, older_than=NOW - 2 * MINUTE)] == ["file-a"]


def test_the_parts_of_a_generation_come_in_a_steady_order(catalog: Catalog) -> None:
    with catalog.write() as session:
        session.add(a_generation())
        session.flush()
        second = a_job(ordinal=1)
        session.add_all([second, a_job(try_number=2), a_job(status=JobStatus.FAILED)])
        session.flush()
        outputs = [an_output(second, "video", 1), an_output(second, "thumbnail"), an_output(second, "video", 0)]
        session.add_all(outputs)
        session.flush()
        session.add_all([a_file(outputs[0], state=MediaState.STORED), a_file(outputs[2])])
    with catalog.read() as session:
        assert [(job.ordinal, job.try_number) for job in queries.jobs_of(session, "video-1")] == [
            (0, 1),
            (0, 2),
            (1, 1),
        ]
        found = [(output.kind, output.index) for output in queries.outputs_of(session, "video-1")]
        assert found == [("thumbnail", 0), ("video", 0), ("video", 1)]
        assert len(queries.media_of(session, "video-1")) == 2
        assert [row.output_id for row in queries.media_of(session, "video-1", state=MediaState.STORED)] == [
            "video-1.1.1.video.1"
        ]


def test_the_task_ids_and_providers_that_are_already_ours(catalog: Catalog) -> None:
    with catalog.write() as session:
        session.add_all([a_generation("video-1"), a_generation("video-2", provider="luma")])
        session.flush()
        session.add(a_job(task_id="new", created_at=NOW))
        session.add(a_job(ordinal=1, task_id="old", created_at=NOW - MINUTE))
        session.add(a_job(ordinal=2, created_at=NOW))
        session.add(a_job("video-2", provider="luma", task_id="theirs", created_at=NOW))
    with catalog.read() as session:
        assert queries.task_ids_since(session, "runway", NOW) == {"new"}
        asked = ["video-1", "video-2", "video-3", *(f"unknown-{number}" for number in range(1500))]
        assert queries.providers_of(session, asked) == {"video-1": "runway", "video-2": "luma"}
