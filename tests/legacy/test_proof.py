"""The proof: it covers every row, names what is left and why, and nobody can change it unnoticed."""

from __future__ import annotations

import hashlib
import json
import random
import sqlite3
import stat
import zlib
from base64 import b64encode
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import create_engine, text
from sqlmodel import select

from tests.conftest import NewDatabase
from tests.urls.test_classify_schemes import JWT, SHA256
from video_assets.catalog import Catalog, open_catalog
from video_assets.catalog.legacy import FindingState, LegacyFile, LegacyFinding
from video_assets.catalog.models import MediaState
from video_assets.legacy.config.models import Column, Except, Source, Table
from video_assets.legacy.inventory.take import take_inventory
from video_assets.legacy.proof import full_scan, merkle
from video_assets.legacy.proof.full_scan import scan_source
from video_assets.legacy.proof.merkle import Inclusion, Leaves
from video_assets.legacy.proof.prove import (
    ProofInvalid,
    RowNotProven,
    make_proof,
    prove_row,
    verify,
    verify_against,
)
from video_assets.legacy.proof.signing import (
    KEY_FILE,
    SigningKeyUnusable,
    key_fingerprint,
    load_signing_key,
    signer_of,
)
from video_assets.legacy.proof.store_scan import scan_database, scan_sqlite_files
from video_assets.settings import Settings


def signed(name: str) -> str:
    query = f"X-Amz-Date=20270115T070000Z&X-Amz-Expires=3600&X-Amz-Signature={SHA256}"
    return f"https://b.s3.amazonaws.com/{name}?{query}"


DURABLE = "http://127.0.0.1:3080/media/ann/v1.mp4"

# --- the tree ---------------------------------------------------------------------------------------------------


def slow_root(leaves: list[bytes]) -> bytes:
    """RFC 6962 section 2.1, word for word."""
    if not leaves:
        return hashlib.sha256().digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\0" + leaves[0]).digest()
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return hashlib.sha256(b"\1" + slow_root(leaves[:split]) + slow_root(leaves[split:])).digest()


@given(st.lists(st.lists(st.text(max_size=5), min_size=1, max_size=3), max_size=40))
def test_the_root_is_that_of_rfc_6962_over_the_sorted_leaves_in_whatever_order_they_come(
    words: list[list[str]],
) -> None:
    with Leaves() as leaves:
        for each in words:
            leaves.add(each)
        expected = sorted({merkle.leaf_bytes(each) for each in words})
        assert list(leaves) == expected
        assert leaves.root() == slow_root(expected)


@given(st.integers(1, 70), st.randoms())
def test_every_leaf_has_an_inclusion_proof_and_no_other_leaf_fits_it(size: int, chance: random.Random) -> None:
    with Leaves() as leaves:
        for number in range(size):
            leaves.add([str(number)])
        root = leaves.root()
        number = chance.randrange(size)
        found = leaves.inclusion([str(number)])
    assert found.root() == root
    assert Inclusion.read(json.loads(json.dumps(found.document()))) == found
    assert Inclusion(("other",), found.index, found.size, found.path).root() != root
    assert Inclusion(found.words, found.index, found.size, (*found.path, b"x" * 32)).root() != root
    if size > 1:
        other = (found.index + 1) % size
        assert Inclusion(found.words, other, found.size, found.path).root() != root


def test_the_published_vectors_of_certificate_transparency_hold() -> None:
    # https://github.com/google/certificate-transparency: the tree over its eight test leaves.
    leaves = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
    root = merkle.root_of(merkle.leaf_hash(bytes.fromhex(leaf)) for leaf in leaves)
    assert root.hex() == "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"


# --- the source -------------------------------------------------------------------------------------------------


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    opened = open_catalog(Settings(_env_file=None, home=tmp_path / "home"))
    yield opened
    opened.close()


@pytest.fixture
def source(tmp_path: Path) -> Source:
    """Six rows: saved and rewritten, lost, waiting, left alone, durable for ever, and empty."""
    path = tmp_path / "app.db"
    with sqlite3.connect(path) as connection:
        connection.execute(
            "CREATE TABLE videos (id INTEGER PRIMARY KEY, url TEXT, doc JSON, note TEXT, size INT)"
        )
        connection.executemany(
            "INSERT INTO videos (id, url, doc, note) VALUES (?, ?, ?, ?)",
            [
                (1, signed("v1.mp4"), None, "first"),
                (2, signed("v2.mp4"), json.dumps({"a": [signed("v3.mp4")]}), None),
                (3, signed("v4.mp4"), None, None),
                (4, "https://kept.example.com/v.mp4?_jwt=" + JWT, None, None),
                (5, DURABLE, json.dumps({"a": 1}), "nothing to see"),
                (6, None, None, None),
            ],
        )
    return Source(
        name="app",
        url=f"sqlite:///{path}",
        tables=(
            Table.model_validate(
                {
                    "name": "videos",
                    "column": (Column(name="url"), Column(name="doc", type="json")),
                    "except": (Except(host="kept.example.com", why="a page for people"),),
                }
            ),
        ),
    )


def settle(catalog: Catalog, source: Source) -> None:
    """Row 1 was saved and rewritten, row 2's URL was lost."""
    with catalog.write() as session:
        for finding in session.exec(select(LegacyFinding)).all():
            file = session.get_one(LegacyFile, finding.file_id)
            if finding.row_key == "[1]":
                finding.state, file.state, file.file_url = FindingState.REWRITTEN, MediaState.STORED, DURABLE
                file.bucket, file.key, file.sha256, file.file_size = "b", "ann/v1.mp4", SHA256, 7
                file.temporary_url = None
            elif finding.row_key == "[2]" and finding.column_name == "url":
                finding.state, file.state, file.message = FindingState.LOST, MediaState.LOST, "gone: 404"
                file.evidence, file.temporary_url = {"status": 404}, None
    execute(source, "UPDATE videos SET url = ? WHERE id = 1", DURABLE)


def execute(source: Source, statement: str, *values: object) -> None:
    with sqlite3.connect(source.url.removeprefix("sqlite:///")) as connection:
        connection.execute(statement, values)


def proof(catalog: Catalog, source: Source, home: Path, **more: Any) -> dict[str, Any]:
    return make_proof(catalog, [source], key=load_signing_key(home), scratch=home / "scratch", **more)


def test_every_row_is_counted_and_what_is_left_has_a_class(catalog: Catalog, source: Source) -> None:
    take_inventory(catalog, source)
    settle(catalog, source)
    execute(source, "UPDATE videos SET doc = ? WHERE id = 6", json.dumps({"new": signed("v9.mp4")}))
    scan = scan_source(source, catalog)
    assert scan.rows == 6
    assert dict(scan.classes) == {"lost": 1, "pending": 2, "excepted": 1, "unknown": 1}
    assert (scan.jwts, scan.durable) == (1, 1)
    assert not scan.is_clean
    assert not scan.is_accounted
    columns = scan.tables["videos"].columns
    assert (columns["url"].values, columns["url"].temporary) == (5, 3)
    assert (columns["doc"].values, columns["doc"].temporary) == (3, 2)
    [lost] = scan.remaining["lost"]
    assert (lost.row_key, lost.message, lost.evidence) == ("[2]", "gone: 404", {"status": 404})
    assert SHA256 not in json.dumps(scan.document())


def test_columns_that_nobody_configured_are_searched_too(catalog: Catalog, source: Source) -> None:
    execute(
        source, "UPDATE videos SET note = ?, size = ? WHERE id = 5", f"see {signed('x.mp4')}", f"Bearer {JWT}"
    )
    scan = scan_source(source, catalog)
    assert scan.tables["videos"].columns["note"].temporary == 1
    assert scan.tables["videos"].columns["size"].jwts == 1, "a bare token, in a column that calls itself INT"


def test_another_url_at_the_place_of_a_lost_one_is_not_lost_but_unknown(catalog: Catalog, source: Source) -> None:
    take_inventory(catalog, source)
    settle(catalog, source)
    execute(source, "UPDATE videos SET url = ? WHERE id = 2", signed("another.mp4"))
    assert scan_source(source, catalog).classes["lost"] == 0
    assert scan_source(source, catalog).classes["unknown"] == 1


def test_what_is_lost_or_left_alone_is_accounted_for_and_a_cleaned_source_is_clean(
    catalog: Catalog, source: Source
) -> None:
    take_inventory(catalog, source)
    settle(catalog, source)
    execute(source, "UPDATE videos SET url = ?, doc = NULL WHERE id = 3", DURABLE)
    execute(source, "UPDATE videos SET doc = NULL WHERE id = 2")
    scan = scan_source(source, catalog)
    assert scan.is_accounted
    assert not scan.is_clean
    execute(source, "UPDATE videos SET url = NULL WHERE id IN (2, 4)")
    assert scan_source(source, catalog).is_clean


def test_a_table_that_cannot_be_read_is_no_clean_table(catalog: Catalog, source: Source) -> None:
    missing = Table(name="nowhere", column=(Column(name="url"),))
    scan = scan_source(source.model_copy(update={"tables": (*source.tables, missing)}), catalog)
    assert not scan.is_accounted
    assert "nowhere" in scan.problems[0]


def test_long_lists_are_cut_and_counts_are_not(
    catalog: Catalog, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(full_scan, "LISTED", 2)
    scan = scan_source(source, catalog)
    assert scan.classes["unknown"] == 4
    assert len(scan.document()["exceptions"]["unknown"]["listed"]) == 2


def test_the_documents_of_a_folder_are_searched_and_its_videos_are_no_temporary_urls(
    catalog: Catalog, tmp_path: Path
) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "a.json").write_text(json.dumps({"url": signed("a.mp4")}))
    (folder / "b.json").write_text(json.dumps({"url": DURABLE}))
    (folder / "c.mp4").write_bytes(b"\0\0\0\x18ftypisom")
    source = Source.model_validate(
        {"name": "files", "kind": "folder", "url": str(folder), "folder": {"documents": ["*.json"]}}
    )
    leaves: list[Any] = []
    take_inventory(catalog, source)
    scan = scan_source(source, catalog, on_value=leaves.append)
    assert (scan.rows, dict(scan.classes)) == (2, {"pending": 1})
    assert len(leaves) == 2
    (folder / "a.json").unlink()
    assert scan_source(source, catalog).is_clean


# --- the document -----------------------------------------------------------------------------------------------


def test_a_proof_verifies_and_every_change_of_it_shows(catalog: Catalog, source: Source, tmp_path: Path) -> None:
    take_inventory(catalog, source)
    settle(catalog, source)
    document = json.loads(json.dumps(proof(catalog, source, tmp_path / "home")))
    found = verify(document)
    assert found.is_good
    assert document["sources"][0]["merkle"]["files"]["leaves"] == 1
    assert document["sources"][0]["merkle"]["values"]["leaves"] == 5 + 2 + 2
    assert document["verdict"] == {"clean": False, "accounted": False, "complete": True}
    for path in (("verdict", "clean"), ("merkle", "root"), ("sources", 0, "rows"), ("scanner", "version")):
        changed = deepcopy(document)
        place: Any = changed
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = "another"
        assert not verify(changed).is_good
    assert verify(document, public_key=found.signer).is_good
    other = b64encode(b"\1" * 32).decode()
    assert not verify(document, public_key=other).is_good


def test_a_proof_that_is_signed_again_by_somebody_else_has_another_signer(
    catalog: Catalog, source: Source, tmp_path: Path
) -> None:
    from video_assets.legacy.proof.signing import sign

    document = proof(catalog, source, tmp_path / "home")
    forged = sign(
        {**document, "verdict": {"clean": True, "accounted": True}}, load_signing_key(tmp_path / "evil")
    )
    ours = verify(document).signer
    assert verify(forged).signer not in (None, ours)
    assert not verify(forged, public_key=ours).is_good
    assert ours is not None
    assert len(key_fingerprint(ours)) == 39


def test_no_secret_reaches_the_document(catalog: Catalog, source: Source, tmp_path: Path) -> None:
    take_inventory(catalog, source)
    text = json.dumps(proof(catalog, source, tmp_path / "home"))
    assert "X-Amz-Signature=REDACTED" in text
    assert SHA256 not in text
    assert JWT not in text


def test_the_signing_key_belongs_to_its_owner_and_is_made_once(tmp_path: Path) -> None:
    first = load_signing_key(tmp_path)
    assert stat.S_IMODE((tmp_path / KEY_FILE).stat().st_mode) == 0o600
    assert load_signing_key(tmp_path).private_bytes_raw() == first.private_bytes_raw()
    (tmp_path / KEY_FILE).write_text("not a key")
    with pytest.raises(SigningKeyUnusable, match="not an Ed25519 key"):
        load_signing_key(tmp_path)


def test_a_single_row_is_proven_offline(catalog: Catalog, source: Source, tmp_path: Path) -> None:
    take_inventory(catalog, source)
    settle(catalog, source)
    document = proof(catalog, source, tmp_path / "home", leaves=tmp_path / "leaves")
    row = json.loads(
        json.dumps(prove_row(document, tmp_path / "leaves", source="app", table="videos", row_key="[1]"))
    )
    found = verify(row)
    assert found.is_good
    words = [inclusion.words for inclusion in found.inclusions]
    assert ("app", "videos", "[1]", "url", "", "b", "ann/v1.mp4", SHA256, "7") in words
    assert ("app", "videos", "[1]", "url", hashlib.sha256(DURABLE.encode()).hexdigest()) in words
    row["inclusions"][0]["leaf"][-2] = "0" * 64
    assert not verify(row).is_good
    with pytest.raises(RowNotProven):
        prove_row(document, tmp_path / "leaves", source="app", table="videos", row_key="[77]")
    with pytest.raises(ProofInvalid, match="does not cover"):
        prove_row(document, tmp_path / "leaves", source="other", table="videos", row_key="[1]")
    with pytest.raises(ProofInvalid, match="--leaves"):
        prove_row(document, tmp_path / "nowhere", source="app", table="videos", row_key="[1]")


def test_a_database_that_changed_since_is_noticed_without_any_catalog(
    catalog: Catalog, source: Source, tmp_path: Path
) -> None:
    document = proof(catalog, source, tmp_path / "home")
    same = verify(document)
    verify_against(same, "app", source.url, tmp_path)
    assert same.is_good
    execute(source, "UPDATE videos SET note = 'FIRST' WHERE id = 1")
    changed = verify(document)
    verify_against(changed, "app", source.url, tmp_path)
    assert "other values" in changed.failures[0]
    execute(source, "INSERT INTO videos (url) VALUES (?)", signed("late.mp4"))
    grown = verify(document)
    verify_against(grown, "app", source.url, tmp_path)
    assert "had 6 rows and has 7" in grown.failures[0]
    assert "temporary URLs" in grown.failures[1]


@pytest.mark.parametrize("document", [{}, {"format": "else"}, {"format": "video-assets-row-proof/1"}])
def test_what_is_no_proof_is_refused(document: dict[str, Any]) -> None:
    with pytest.raises(ProofInvalid):
        verify(document)


def test_a_proof_without_a_signature_is_not_good() -> None:
    assert signer_of({"format": "video-assets-proof/1"}) is None
    assert not verify({"format": "video-assets-proof/1"}).is_good


# --- other stores -----------------------------------------------------------------------------------------------


def test_every_value_of_a_foreign_store_is_searched_even_when_it_is_packed(tmp_path: Path) -> None:
    packed = b64encode(zlib.compress(json.dumps({"cursor": signed("a.mp4")}).encode())).decode()
    path = tmp_path / "runs.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE runs (id INTEGER, body TEXT, raw BLOB)")
        connection.execute("INSERT INTO runs VALUES (1, ?, ?)", (packed, b"nothing"))
        connection.execute("INSERT INTO runs VALUES (2, ?, ?)", ("fine", f"token {JWT}".encode()))
        connection.execute("INSERT INTO runs VALUES (3, 'https://replicate.delivery/x/out.mp4', NULL)")
    scan = scan_sqlite_files("dagster", [path])
    assert dict(scan.by_column) == {"runs.body": 1, "runs.raw": 1}
    assert scan.jwts == 1
    assert SHA256 not in json.dumps(scan.document())
    missing = scan_sqlite_files("dagster", [tmp_path / "missing.db"])
    assert not missing.is_clean, "what could not be read is not clean"


def test_a_store_on_a_server_is_searched_in_its_text_its_json_and_its_bytes(postgres_url: NewDatabase) -> None:
    url = postgres_url()
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE event_logs (id serial, event text, tags jsonb, raw bytea, n int)"))
        connection.execute(
            text(
                "INSERT INTO event_logs (event, tags, raw) VALUES (:e, CAST(:t AS jsonb), :r), ('fine', '{}', '')"
            ),
            {"e": f"fetched {signed('a.mp4')}", "t": json.dumps({"key": JWT}), "r": f"token {JWT}".encode()},
        )
    engine.dispose()
    scan = scan_database("Dagster's database", url)
    assert dict(scan.by_column) == {"event_logs.event": 1, "event_logs.tags": 1, "event_logs.raw": 1}
    assert (scan.rows, scan.jwts) == (2, 2)
    away = scan_database("Dagster's database", "postgresql+psycopg2://nobody@127.0.0.1:9/x")
    assert not away.is_clean
    assert away.problems
