"""The audit: a token or a dying link planted anywhere is found and named, and nothing else is."""

from __future__ import annotations

import json
import secrets
import tracemalloc
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import JSON, String, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.types import TypeDecorator
from sqlmodel import SQLModel

from tests.catalog.building import a_file, a_generation, a_job, an_output
from tests.catalog.tokens import a_jwt, a_jwt_link, a_signed_link
from video_assets.catalog import (
    Catalog,
    Event,
    Generation,
    Lease,
    MediaFile,
    MediaState,
    Output,
    ProviderJob,
    journal,
)
from video_assets.catalog.audit import audit_persisted_urls
from video_assets.catalog.legacy import LegacyFile
from video_assets.urls import classify, fingerprint, redact

LINK = a_jwt_link()


def _fill(catalog: Catalog, generation_id: str = "video-1") -> None:
    """A generation as the product leaves it: one output durable, one pending, everything recorded."""
    with catalog.write() as session:
        session.add(
            a_generation(
                generation_id,
                title="Kite",
                parameters={"seed": 7, "image": "https://media.example.com/kite.png"},
                evidence={"status": 401, "url": redact(LINK)},
                error_message=f"401 for {redact(LINK)}",
            )
        )
        session.flush()
        session.add(job := a_job(generation_id, task_id=secrets.token_hex(8), failure_message="none"))
        session.flush()
        stored = an_output(
            job,
            state=MediaState.STORED,
            source_redacted=redact(LINK),
            source_fingerprint=fingerprint(LINK),
            evidence={"tries": [redact(LINK)]},
        )
        pending = an_output(job, index=1, temporary_url=LINK, source_redacted=redact(LINK))
        session.add_all([stored, pending])
        session.flush()
        session.add(
            a_file(
                stored,
                state=MediaState.STORED,
                file_url=f"https://abc.supabase.co/storage/v1/object/public/generated-videos/ann/{stored.id}.mp4",
                sha256=secrets.token_hex(32),
                md5=secrets.token_hex(16),
            )
        )
        session.add(
            Lease(resource=f"output:{pending.id}", holder="w", expires_at=datetime(2026, 1, 1, tzinfo=UTC))
        )
        journal.record(session, "stored", f"stored {LINK}", generation_id=generation_id, source=LINK)


# The row a test writes into, where a table has several; and how a table's rows tell their generation.
ONE_ROW = {"output": "id LIKE '%.video.0'"}
IN_GENERATION = {"generation": "id", "lease": "resource"}


def _text_columns() -> list[Any]:
    """Every column of the live side's tables into which PostgreSQL lets a text."""
    found = []
    for model in (Event, Generation, Lease, MediaFile, Output, ProviderJob):
        table = SQLModel.metadata.tables[str(model.__tablename__)]
        for column in table.columns:
            declared = column.type.impl_instance if isinstance(column.type, TypeDecorator) else column.type
            # A column that others refer to cannot be changed at all; the audit reads it like any other.
            referred = column.primary_key and table.name in ("generation", "provider_job", "output")
            if isinstance(declared, String | JSON) and not column.foreign_keys and not referred:
                found.append(column)
    return found


TEXT_COLUMNS = _text_columns()


def _plant(catalog: Catalog, column: Any, value: str, *, where: str = "true") -> None:
    """Write ``value`` past the column's type, the way a careless script would."""
    as_json = isinstance(column.type, JSON)
    new = "CAST(:value AS JSON)" if as_json and catalog.is_postgresql else ":value"
    stored = json.dumps({"deep": [{"link": value}]}) if as_json else value
    with catalog.write() as session:
        statement = f'UPDATE {column.table.name} SET "{column.name}" = {new} WHERE {where}'
        session.execute(text(statement), {"value": stored})


def test_a_catalog_as_the_product_leaves_it_is_clean(catalog: Catalog) -> None:
    _fill(catalog)
    with catalog.read() as session:
        audit = audit_persisted_urls(session)
    assert audit.sample == ()
    assert (audit.violations, audit.jwts, audit.by_column) == (0, 0, {})
    assert audit.no_persisted_jwt
    assert audit.no_temporary_url
    assert audit.rows == 7
    assert audit.values["output.temporary_url"] == 1
    assert audit.values["media_file.file_url"] == 1
    assert audit.values["generation.submitted_prompt"] == 0


@pytest.mark.parametrize("column", TEXT_COLUMNS, ids=str)
def test_whatever_is_planted_in_any_column_is_found_and_its_row_named(catalog: Catalog, column: Any) -> None:
    _fill(catalog)
    where = ONE_ROW.get(column.table.name, "true")
    for secret, in_url, jwt in (
        (a_jwt_link(), True, True),
        (a_jwt(), False, True),
        (a_signed_link(), True, False),
    ):
        _plant(catalog, column, secret, where=where)
        with catalog.read() as session:
            audit = audit_persisted_urls(session)
            (key,) = column.table.primary_key.columns
            row = str(session.execute(select(key).where(text(where))).scalar_one())
        assert audit.no_persisted_jwt is not jwt
        assert not audit.no_temporary_url
        assert audit.by_column == {str(column): 1}
        (violation,) = audit.sample
        assert (violation.table, violation.column) == (column.table.name, column.name)
        assert violation.row == redact(row)
        assert violation.carries_jwt is jwt
        assert violation.pointer == ("/deep/0/link" if isinstance(column.type, JSON) and in_url else "")
        assert secret[-40:] not in repr(audit), "the finding itself must be safe to show"


def test_in_sqlite_a_link_is_found_even_in_a_column_of_numbers(catalog: Catalog) -> None:
    if catalog.is_postgresql:
        with pytest.raises(DBAPIError), catalog.write() as session:
            session.execute(text("UPDATE media_file SET width = :link"), {"link": LINK})
        return
    _fill(catalog)
    with catalog.write() as session:
        session.execute(text("UPDATE media_file SET width = :link"), {"link": LINK})
    with catalog.read() as session:
        assert audit_persisted_urls(session).by_column == {"media_file.width": 1}


def test_the_encrypted_column_may_hold_a_secret_only_while_it_may_be_needed(catalog: Catalog) -> None:
    _fill(catalog)
    with catalog.write() as session:
        session.execute(text("UPDATE output SET state = 'lost'"))
    with catalog.read() as session:
        assert audit_persisted_urls(session).no_temporary_url, "a lost file keeps its link for a while"
    for state in (MediaState.STORED, MediaState.GIVEN_UP):
        with catalog.write() as session:
            session.execute(text("UPDATE output SET state = :state"), {"state": state.value})
        with catalog.read() as session:
            audit = audit_persisted_urls(session)
        assert audit.by_column == {"output.temporary_url": 1}
        assert audit.sample[0].scheme == "encrypted"
        assert "should have been erased" in str(audit.sample[0])
        assert audit.no_persisted_jwt


def test_plain_text_in_the_encrypted_column_is_a_violation_whatever_it_says(catalog: Catalog) -> None:
    _fill(catalog)
    with catalog.write() as session:
        session.execute(text("UPDATE output SET temporary_url = 'https://example.com/plain.mp4'"))
    with catalog.read() as session:
        audit = audit_persisted_urls(session)
    assert audit.by_column == {"output.temporary_url": 2}
    assert "not encrypted" in str(audit.sample[0])


def test_an_address_that_only_its_host_makes_mortal_may_be_told_but_not_served(catalog: Catalog) -> None:
    address = "https://replicate.delivery/pbxt/kite/out.mp4"
    assert classify(address).is_temporary
    _fill(catalog)
    with catalog.write() as session:
        session.execute(text("UPDATE output SET source_redacted = :a"), {"a": address})
    with catalog.read() as session:
        assert audit_persisted_urls(session).no_temporary_url
    with catalog.write() as session:
        session.execute(text("UPDATE media_file SET file_url = :a"), {"a": address})
    with catalog.read() as session:
        assert audit_persisted_urls(session).by_column == {"media_file.file_url": 1}


def test_the_tables_of_the_legacy_side_are_read_too(catalog: Catalog) -> None:
    with catalog.write() as session:
        session.add(LegacyFile(id="f1", source="old", fingerprint="f", temporary_url=LINK))
    with catalog.read() as session:
        assert audit_persisted_urls(session).no_temporary_url
    with catalog.write() as session:
        session.get_one(LegacyFile, "f1").file_url = LINK
    with catalog.read() as session:
        audit = audit_persisted_urls(session)
    assert audit.by_column == {"legacy_file.file_url": 1}
    assert audit.jwts == 1


def test_one_generation_is_judged_by_its_own_rows_in_every_table(catalog: Catalog) -> None:
    _fill(catalog, "video-1")
    _fill(catalog, "video-2")
    for column in TEXT_COLUMNS:
        if not column.primary_key and column.name not in ("job_id", "generation_id"):
            _plant(
                catalog,
                column,
                a_jwt_link(),
                where=f"{IN_GENERATION.get(column.table.name, 'generation_id')} LIKE '%video-2%'",
            )
    with catalog.read() as session:
        clean = audit_persisted_urls(session, generation_id="video-1")
        dirty = audit_persisted_urls(session, generation_id="video-2")
        everything = audit_persisted_urls(session)
    assert clean.rows == dirty.rows == 7
    assert clean.violations == 0
    assert dirty.violations == everything.violations > 40
    assert everything.rows == 14


def test_the_sample_is_bounded_and_shows_both_kinds(catalog: Catalog) -> None:
    with catalog.write() as session:
        session.add_all(a_generation(f"video-a{n}", title=a_signed_link()) for n in range(8))
        session.add_all(a_generation(f"video-b{n}", title=a_jwt_link()) for n in range(9))
    with catalog.read() as session:
        audit = audit_persisted_urls(session, sample=3)
    assert (audit.violations, audit.jwts) == (17, 9)
    assert [violation.carries_jwt for violation in audit.sample] == [True] * 3 + [False] * 3


def test_every_row_is_read_and_memory_does_not_grow_with_them(catalog: Catalog) -> None:
    """A thousand rows of 20 kB are 20 MB; the scan may hold a batch of them, not all."""
    with catalog.write() as session:
        for number in range(1000):
            journal.record(session, "note", "x" * 20_000, number=number)
    with catalog.read() as session:
        tracemalloc.start()
        audit = audit_persisted_urls(session)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert audit.rows == 1000
    assert peak < 8_000_000
