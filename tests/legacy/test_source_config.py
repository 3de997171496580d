"""The configuration file: no password in it, clear words for what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from video_assets.legacy.config.load import choose, load_sources, parse_sources
from video_assets.legacy.config.urls import resolve_url
from video_assets.legacy.errors import ConfigurationInvalid

GOOD = """
[[source]]
name = "cards"
url = "postgresql+psycopg2://app:${DB_PASSWORD}@db.example.com/app"

[[source.table]]
name = "generated_cards"
created_at = "created_at"

[[source.table.column]]
name = "snapshot"
type = "json"
kinds = { "/versions/*/url" = "video" }

[[source.table.job]]
provider = "runway"
id_at = "snapshot#/versions/*/taskId"

[[source.table.except]]
host = "app.heygen.com"
why = "a page"
"""


def test_a_whole_configuration_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    source = parse_sources(GOOD)["cards"]
    assert source.table("generated_cards").column("snapshot").kinds == {"/versions/*/url": "video"}
    assert source.table("generated_cards").exceptions[0].host == "app.heygen.com"
    monkeypatch.setenv("DB_PASSWORD", "s3cret-word")
    assert source.reading_url() == "postgresql+psycopg2://app:s3cret-word@db.example.com/app"
    assert "s3cret" not in repr(source)


def test_the_replica_is_read_and_the_primary_written(monkeypatch: pytest.MonkeyPatch) -> None:
    text = GOOD.replace('url = "postgresql', 'replica_url = "env:REPLICA"\nurl = "postgresql')
    source = parse_sources(text)["cards"]
    monkeypatch.setenv("REPLICA", "postgresql://replica/app")
    monkeypatch.setenv("DB_PASSWORD", "x")
    assert source.reading_url() == "postgresql://replica/app"
    assert "db.example.com" in source.writing_url()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("${DB_PASSWORD}", "hunter2"), "a password stands in the file"),
        (("app:${DB_PASSWORD}@db.example.com/app", "db.example.com/app?password=hunter2"), "a password stands"),
        (("postgresql+psycopg2://", "no url at all "), "not a SQLAlchemy URL"),
        (('provider = "runway"', ""), "provider or provider_at"),
        (('id_at = "snapshot#/versions/*/taskId"', 'id_in_path = "[0-9"'), "regular expression"),
        (('id_at = "snapshot#/versions/*/taskId"', 'id_in_path = "[0-9]+"'), "exactly one group"),
        (('type = "json"', 'typ = "json"'), "there is no such setting; did you mean 'type'?"),
        (('type = "json"', 'type = "jsonb"'), "'text', 'json' or 'blob'"),
        (('name = "cards"', 'name = "My Cards"'), "a name is made of"),
        (('host = "app.heygen.com"', ""), "at least one of host, pointer and path"),
        (("[[source]]", "[source]"), "list of [[source]]"),
        (("[[source]]", "[[source]"), "is not TOML"),
    ],
)
def test_what_is_wrong_is_said_without_repeating_values(change: tuple[str, str], says: str) -> None:
    assert change[0] in GOOD
    with pytest.raises(ConfigurationInvalid) as caught:
        parse_sources(GOOD.replace(*change), where="legacy.toml")
    assert says in str(caught.value)
    assert "legacy.toml" in str(caught.value) or "source 'cards'" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_missing_file_and_a_missing_variable_name_the_next_step(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationInvalid, match="legacy discover"):
        load_sources(tmp_path / "legacy.toml")
    with pytest.raises(ConfigurationInvalid, match="NOT_SET_ANYWHERE, which is not set"):
        resolve_url("env:NOT_SET_ANYWHERE", source="x")


def test_an_unknown_preset_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigurationInvalid, match="known are generated_cards"):
        parse_sources('[[source]]\nname = "a"\nurl = "sqlite:///a.db"\npreset = "cards"\n')


def test_two_sources_of_one_name_are_refused_and_unknown_names_too() -> None:
    with pytest.raises(ConfigurationInvalid, match="two sources"):
        parse_sources(GOOD + GOOD)
    with pytest.raises(ConfigurationInvalid, match="known are cards"):
        choose(parse_sources(GOOD), ["card"])
