"""The figures equal what plain counting gives."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tests.catalog.building import a_file, a_generation, a_job, an_output
from video_assets.catalog import Catalog, GenerationStatus, MediaState
from video_assets.catalog.statistics import Completed, Totals, Usage, last_completed, totals, usage

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


def _fill(catalog: Catalog) -> None:
    """ann: two stored files of one video, one of another, one upload under way; eve: a file in another bucket."""
    with catalog.write() as session:
        for number, (owner, status) in enumerate(
            [("ann", "completed"), ("ann", "completed"), ("eve", "completed"), ("eve", "failed")]
        ):
            name = f"video-{number}"
            completed = NOW + timedelta(hours=number) if status == "completed" else None
            session.add(
                a_generation(
                    name, owner=owner, status=GenerationStatus(status), created_at=NOW, completed_at=completed
                )
            )
            session.flush()
            session.add(job := a_job(name))
            session.flush()
            for kind, size in (("video", 5_000_000_000 + number), ("thumbnail", 7)):
                output = an_output(job, kind)
                session.add(output)
                session.flush()
                stored = (number, kind) in {(0, "video"), (0, "thumbnail"), (1, "video"), (2, "video")}
                session.add(
                    a_file(
                        output,
                        state=MediaState.STORED if stored else MediaState.PENDING,
                        bucket="other" if owner == "eve" else "generated-videos",
                        file_size=size,
                        file_url=f"https://media.example.com/{name}/{kind}",
                    )
                )


def test_usage_is_told_per_owner_and_bucket_and_counts_only_what_is_durable(catalog: Catalog) -> None:
    _fill(catalog)
    with catalog.read() as session:
        assert usage(session) == [
            Usage("ann", "generated-videos", 3, 10_000_000_008),
            Usage("eve", "other", 1, 5_000_000_002),
        ]


def test_totals_of_a_full_and_of_an_empty_catalog(catalog: Catalog) -> None:
    with catalog.read() as session:
        assert totals(session) == Totals(0, {}, 0, 0)
        assert usage(session) == []
    _fill(catalog)
    with catalog.read() as session:
        assert totals(session) == Totals(4, {"completed": 3, "failed": 1}, 4, 15_000_000_010)


def test_the_last_completed_come_newest_first_with_the_link_of_their_video(catalog: Catalog) -> None:
    _fill(catalog)
    with catalog.read() as session:
        found = last_completed(session, limit=2)
    assert [row.id for row in found] == ["video-2", "video-1"]
    assert found[1] == Completed(
        "video-1", "ann", "a red kite", "https://media.example.com/video-1/video", NOW, NOW + timedelta(hours=1)
    )
