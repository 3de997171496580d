"""The journal: in order, append-only, and never a secret in it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import text

from tests.catalog.building import a_generation
from tests.catalog.tokens import a_jwt, a_jwt_link
from video_assets.catalog import Catalog, journal


def test_events_come_back_in_the_order_they_happened(catalog: Catalog) -> None:
    for step in ("queued", "submitted", "stored"):
        with catalog.write() as session:
            journal.record(session, step, f"it is {step}", generation_id="video-1")
            journal.record(session, step, "something else", generation_id="video-2")
    with catalog.read() as session:
        steps = [event.step for event in journal.events_of(session, "video-1")]
        newest = [event.step for event in journal.events_of(session, "video-1", limit=2)]
    assert steps == ["queued", "submitted", "stored"]
    assert newest == ["submitted", "stored"]


def test_whatever_is_recorded_no_link_and_no_token_gets_in(catalog: Catalog) -> None:
    link, token = a_jwt_link(), a_jwt()
    with catalog.write() as session:
        session.add(a_generation())
        journal.record(
            session,
            "failed",
            f"could not fetch {link} with {token}",
            generation_id="video-1",
            source=link,
            nested={"list": [link, {link: "as a key"}], "tuple": (token,), "path": Path("/a/b")},
            error=ValueError(f"401 for {link}"),
            at=datetime(2026, 1, 1, tzinfo=UTC),
            size=17,
        )
    with catalog.read() as session:
        (event,) = journal.events_of(session, "video-1")
        raw = " ".join(str(value) for value in session.execute(text("SELECT message, detail FROM event")).one())
    assert token not in raw
    assert link.partition("?")[2] not in raw
    assert "could not fetch https://" in event.message
    assert event.detail["size"] == 17
    assert event.detail["nested"]["path"] == "/a/b"
    assert event.detail["at"] == "2026-01-01 00:00:00+00:00"


def test_an_event_of_a_transaction_that_failed_was_never_there(catalog: Catalog) -> None:
    try:
        with catalog.write() as session:
            journal.record(session, "stored", "almost", generation_id="video-1")
            session.flush()
            raise RuntimeError("power cut")
    except RuntimeError:
        pass
    with catalog.read() as session:
        assert journal.events_of(session, "video-1") == []
