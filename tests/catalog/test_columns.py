"""What the columns promise: UTC, encryption, known words, text from outside."""

from __future__ import annotations

import json
import logging
import math
import stat
import threading
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.exc import StatementError

from tests.catalog.building import a_generation, a_job, an_output
from tests.catalog.conftest import MakeSettings
from tests.catalog.processes import run_together
from video_assets.catalog import (
    Catalog,
    CatalogError,
    CatalogUnavailable,
    EncryptionKeyWrong,
    Generation,
    GenerationStatus,
    JobStatus,
    MediaState,
    Output,
    ProviderJob,
    open_catalog,
)
from video_assets.catalog.columns import EncryptedText, dump_json
from video_assets.catalog.database import load_encryption_key
from video_assets.settings import Settings

TEMPORARY = "https://cdn.example.com/out.mp4?_jwt=SECRET-IN-THE-LINK"


def _fill(catalog: Catalog, **values: object) -> str:
    with catalog.write() as session:
        session.add(a_generation())
        session.flush()
        session.add(job := a_job())
        session.flush()
        session.add(output := an_output(job, **values))
        return output.id


def test_a_moment_comes_back_as_the_same_moment_in_utc(catalog: Catalog) -> None:
    kolkata = timezone(timedelta(hours=5, minutes=30))
    moment = datetime(2026, 3, 29, 2, 30, 0, 123456, tzinfo=kolkata)
    with catalog.write() as session:
        session.add(a_generation(completed_at=moment))
    with catalog.read() as session:
        found = session.get_one(Generation, "video-1").completed_at
    assert found == moment
    assert found.tzinfo is UTC


def test_moments_sort_as_moments_whatever_zone_they_were_given_in(catalog: Catalog) -> None:
    with catalog.write() as session:
        for hours in (-11, 0, 13):
            moment = datetime(2026, 1, 1, 12, tzinfo=UTC) + timedelta(minutes=hours)
            zone = timezone(timedelta(hours=hours))
            session.add(a_generation(f"video-{hours}", created_at=moment.astimezone(zone)))
    with catalog.read() as session:
        rows = session.execute(text("SELECT id FROM generation ORDER BY created_at")).scalars().all()
    assert rows == ["video--11", "video-0", "video-13"]


def test_a_naive_datetime_is_refused_and_the_refusal_shows_no_other_value(catalog: Catalog) -> None:
    naive = datetime(2026, 1, 1)  # noqa: DTZ001
    with pytest.raises(StatementError, match="naive datetime") as refused:
        _fill(catalog, temporary_url=TEMPORARY, deadline_at=naive)
    assert "SECRET" not in str(refused.value)


def test_words_come_back_as_words_and_unknown_ones_are_refused(catalog: Catalog) -> None:
    output_id = _fill(catalog)
    with catalog.read() as session:
        assert session.get_one(Generation, "video-1").status is GenerationStatus.QUEUED
        assert session.get_one(ProviderJob, "video-1.0.1").status is JobStatus.SUCCEEDED
        assert session.get_one(Output, output_id).state is MediaState.PENDING
    with (
        pytest.raises(StatementError, match="'done' is not a valid GenerationStatus"),
        catalog.write() as session,
    ):
        session.get_one(Generation, "video-1").status = "done"  # type: ignore[assignment]


def test_a_change_of_a_row_is_dated_by_itself(catalog: Catalog) -> None:
    long_ago = datetime(2020, 1, 1, tzinfo=UTC)
    with catalog.write() as session:
        session.add(a_generation(updated_at=long_ago))
    with catalog.write() as session:
        session.get_one(Generation, "video-1").progress = 7
    with catalog.read() as session:
        assert session.get_one(Generation, "video-1").updated_at > long_ago


def test_a_garbled_message_does_not_undo_the_transaction_that_reports_it(catalog: Catalog) -> None:
    with catalog.write() as session:
        session.add(a_generation(error_message="bad \x00 news \ud800", prompt="שלום עולם 🎬"))
    with catalog.read() as session:
        found = session.get_one(Generation, "video-1")
    assert found.error_message == "bad � news �"
    assert found.prompt == "שלום עולם 🎬"


def test_json_that_is_no_number_becomes_null(catalog: Catalog) -> None:
    parameters = {"seed": math.nan, "deep": [math.inf, {"x": -math.inf, "kept": 1.5}], "unknown": "stays"}
    with catalog.write() as session:
        session.add(a_generation(parameters=parameters))
    with catalog.read() as session:
        found = session.get_one(Generation, "video-1").parameters
    assert found == {"seed": None, "deep": [None, {"x": None, "kept": 1.5}], "unknown": "stays"}


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
)


@given(JSON_VALUES)
def test_whatever_python_reads_as_json_can_be_written_as_strict_json(value: object) -> None:
    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is not JSON")

    json.loads(dump_json(value), parse_constant=refuse)


@given(st.text(max_size=300))
def test_only_encrypted_text_is_taken_for_a_token(plain: str) -> None:
    assert EncryptedText.is_token(Fernet(Fernet.generate_key()).encrypt(plain.encode(errors="replace")).decode())
    assert not EncryptedText.is_token(plain)


def test_a_temporary_url_is_nowhere_on_disk_in_plain_text(make_settings: MakeSettings) -> None:
    settings = make_settings()
    catalog = open_catalog(settings)
    output_id = _fill(catalog, temporary_url=TEMPORARY)
    files = {path.name: path.read_bytes() for path in settings.home.iterdir()}
    assert "catalog.db-wal" in files
    assert any(output_id.encode() in data for data in files.values())
    assert not [name for name, data in files.items() if b"SECRET" in data or b"_jwt=" in data]
    with catalog.read() as session:
        assert session.get_one(Output, output_id).temporary_url == TEMPORARY
    catalog.close()


def test_a_temporary_url_is_encrypted_in_every_kind_of_database(catalog: Catalog) -> None:
    _fill(catalog, temporary_url=TEMPORARY)
    with catalog.read() as session:
        stored = session.execute(text("SELECT temporary_url FROM output")).scalar_one()
    assert EncryptedText.is_token(stored)
    assert "SECRET" not in stored


def test_a_temporary_url_is_in_no_repr_and_no_dump(catalog: Catalog) -> None:
    output_id = _fill(catalog, temporary_url=TEMPORARY)
    with catalog.read() as session:
        output = session.get_one(Output, output_id)
    for shown in (repr(output), str(output), output.model_dump(), output.model_dump_json()):
        assert "SECRET" not in str(shown)


def test_a_failing_statement_does_not_show_its_values(catalog: Catalog) -> None:
    _fill(catalog)
    with pytest.raises(Exception, match=r"(?i)unique|duplicate") as refused, catalog.write() as session:
        session.add(a_generation(prompt="a secret prompt"))
    assert "secret prompt" not in str(refused.value)


def test_another_key_is_named_as_the_cause(settings: Settings) -> None:
    catalog = open_catalog(settings)
    output_id = _fill(catalog, temporary_url=TEMPORARY)
    catalog.close()
    other = settings.model_copy(update={"encryption_key": SecretStr(Fernet.generate_key().decode())})
    catalog = open_catalog(other)
    with pytest.raises(EncryptionKeyWrong, match="VIDEO_ASSETS_ENCRYPTION_KEY"), catalog.read() as session:
        session.get(Output, output_id)
    catalog.close()
    assert issubclass(EncryptionKeyWrong, CatalogError)


def test_a_key_is_made_on_first_start_for_its_owner_only_with_a_warning(
    make_settings: MakeSettings, caplog: pytest.LogCaptureFixture
) -> None:
    settings = make_settings(key=None)
    with caplog.at_level(logging.WARNING):
        key = load_encryption_key(settings)
    file = settings.home / "encryption.key"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.read_bytes() == key
    assert "VIDEO_ASSETS_ENCRYPTION_KEY" in caplog.text
    assert key.decode() not in caplog.text
    caplog.clear()
    assert load_encryption_key(settings) == key
    assert caplog.text == ""
    assert [path.name for path in settings.home.iterdir()] == ["encryption.key"]


def test_processes_that_start_together_agree_on_one_key(tmp_path: Path) -> None:
    keys = run_together(
        6,
        """
        from video_assets.catalog.database import load_encryption_key
        print(load_encryption_key(settings).decode())
        """,
        home=tmp_path / "home",
    )
    assert set(keys) == {(tmp_path / "home" / "encryption.key").read_text()}


def test_threads_that_start_together_agree_on_one_key(make_settings: MakeSettings) -> None:
    settings = make_settings(key=None)
    barrier = threading.Barrier(16)
    keys: list[bytes] = []

    def start() -> None:
        barrier.wait()
        keys.append(load_encryption_key(settings))

    threads = [threading.Thread(target=start) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(keys) == 16
    assert set(keys) == {(settings.home / "encryption.key").read_bytes()}


def test_a_key_that_is_none_is_refused_without_repeating_it(make_settings: MakeSettings) -> None:
    with pytest.raises(CatalogError, match="not a Fernet key") as refused:
        open_catalog(make_settings(key="hunter2"))
    assert "hunter2" not in str(refused.value)


def test_a_key_file_that_cannot_be_made_names_the_two_ways_out(
    make_settings: MakeSettings, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(CatalogUnavailable, match=r"writable or set VIDEO_ASSETS_ENCRYPTION_KEY"):
        open_catalog(make_settings(home=tmp_path / "file", key=None))
