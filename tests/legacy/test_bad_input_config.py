"""Configuration files and addresses that people really write: one sentence each, and no secret in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Command, command, environment  # noqa: F401  fixtures
from tests.legacy.making import run, signed
from tests.legacy.test_source_config import GOOD
from video_assets.catalog.models import utc_now
from video_assets.legacy.config.load import parse_sources
from video_assets.legacy.config.urls import resolve_url
from video_assets.legacy.discover.discover import Discovery, Place, TableLook
from video_assets.legacy.discover.propose import propose
from video_assets.legacy.errors import ConfigurationInvalid, SourceError
from video_assets.legacy.source.connect import open_database

SECRET = "hunter2-geheim"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (('created_at = "created_at"', 'create_at = "created_at"'), "did you mean 'created_at'?"),
        (('created_at = "created_at"', 'zzz = "created_at"'), "known are changed_at, column, created_at"),
        (('created_at = "created_at"', 'key = "id"'), "a list is wanted"),
        (('[[source.table.column]]\nname = "snapshot"', "[[source.table.column]]"), "this setting is missing"),
        (('why = "a page"', 'why = "a page"\npath = "(["'), "regular expression is wrong"),
        (("[[source.table]]", "[source.reading]\npage_row = 5\n\n[[source.table]]"), "did you mean 'page_rows'?"),
        (('name = "cards"\n', 'name = "cards"\nbefore_images = "for ever"\n'), "before_images"),
        (('name = "cards"\n', 'name = "cards"\nkind = "mongodb"\n'), "'database' or 'folder'"),
        (('name = "cards"\n', 'name = "cards"\ntabel = []\n'), "did you mean 'table'?"),
        (("db.example.com/app", f"db.example.com:{SECRET}/app"), "not a SQLAlchemy URL"),
    ],
)
def test_a_slip_is_named_with_what_was_meant(change: tuple[str, str], says: str) -> None:
    assert change[0] in GOOD
    with pytest.raises(ConfigurationInvalid) as caught:
        parse_sources(GOOD.replace(*change, 1), where="legacy.toml")
    assert says in str(caught.value)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("text", ['source = ["cards"]', "source = 5", 'source = "x"', "", "[[sources]]\n"])
def test_a_file_of_another_shape_is_told_what_it_should_be(text: str) -> None:
    with pytest.raises(ConfigurationInvalid, match=r"list of \[\[source\]\]"):
        parse_sources(text)


def test_a_preset_that_is_no_word_is_refused() -> None:
    with pytest.raises(ConfigurationInvalid, match="there is no preset"):
        parse_sources('[[source]]\nname = "a"\nurl = "env:A"\npreset = ["kie_gallery"]\n')


def test_a_password_with_every_character_can_stand_in_the_environment_as_it_is() -> None:
    words = {"PASSWORD": f"{SECRET}@/?#[ ]%", "PORT": "5433", "ALL": f"postgresql://u:{SECRET}@h/db"}
    url = resolve_url("postgresql://u:${PASSWORD}@db.example.com:${PORT}/app", source="a", environment=words)
    from sqlalchemy import make_url

    parsed = make_url(url)
    assert (parsed.password, parsed.host, parsed.port) == (words["PASSWORD"], "db.example.com", 5433)
    assert resolve_url("${ALL}", source="a", environment=words) == words["ALL"]
    for address in ("postgresql://u:${PASSWORD}@h:${PORT}/app", "${ALL}"):
        parse_sources(f'[[source]]\nname = "a"\nurl = "{address}"\npreset = "kie_gallery"\n')
    with pytest.raises(ConfigurationInvalid, match="password stands in the file"):
        parse_sources(
            f'[[source]]\nname = "a"\nurl = "postgresql://u:{SECRET}@h:${{P}}/d"\npreset = "kie_gallery"\n'
        )


@pytest.mark.parametrize(
    ("address", "says", "code"),
    [
        (f"postgresql://u:{SECRET}@nobody.invalid/db", "could not translate host name", 3),
        (f"postgresql://u:{SECRET}@127.0.0.1:1/db", "Connection refused", 3),
        (f"postgres://u:{SECRET}@127.0.0.1:1/db", "Connection refused", 3),
        (f"postgresql+asyncpg://u:{SECRET}@127.0.0.1:1/db", "Connection refused", 3),
        (f"postgresql+psycopg://u:{SECRET}@127.0.0.1:1/db", "Connection refused", 3),
        (f"mysql+aiomysql://u:{SECRET}@127.0.0.1:1/db", "Can't connect", 3),
        (f"postgresql://u:p@{SECRET}@h/db", "write it as %40", 2),
        (f"postgresql://u:p@x/{SECRET}@h/db", "write it as %40", 2),
        (f"postgresql://u:p@h:{SECRET}/db", "not a SQLAlchemy URL", 2),
        (f"mongodb://u:{SECRET}@h/db", "mongodb databases cannot be read", 2),
        (f"mssql+pyodbc://u:{SECRET}@h/db", "mssql databases cannot be read", 2),
        (f"https://u:{SECRET}@example.com/db", "https databases cannot be read", 2),
        (f"{SECRET} in the wrong place", "no folder of the name in env:SOMEWHERE", 3),
        ("sqlite://", "an SQLite source is a file", 2),
        ("sqlite:///nowhere.db", "there is no file nowhere.db", 3),
        ("sqlite:////tmp", "there is no file /tmp", 3),
    ],
)
def test_an_address_that_leads_nowhere_is_one_sentence_and_an_exit_code(
    command: Command,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    address: str,
    says: str,
    code: int,
) -> None:
    monkeypatch.setenv("SOMEWHERE", address)
    ran = command("legacy", "discover", "env:SOMEWHERE")
    assert (ran.code, ran.out) == (code, "")
    assert says in ran.err
    assert len(ran.err.strip().splitlines()) == 1
    assert SECRET not in ran.err


def test_the_first_command_of_the_documentation_writes_a_configuration_that_works(
    command: Command,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    (tmp_path / "shop.db").touch()
    url = f"sqlite:///{tmp_path / 'shop.db'}"
    run(url, "CREATE TABLE videos (id INTEGER PRIMARY KEY, url TEXT)")
    run(url, ("INSERT INTO videos VALUES (1, :u)", {"u": signed("a.mp4", utc_now())}))
    monkeypatch.setenv("SHOP_DATABASE", url)
    ran = command("legacy", "discover", "env:SHOP_DATABASE", "--name", "shop", "--write", "legacy.toml")
    assert ran.code == 0, ran.err
    assert 'url = "env:SHOP_DATABASE"' in (tmp_path / "legacy.toml").read_text()
    ran = command("legacy", "inventory", "--json")
    assert (ran.code, ran.document[0]["findings"]) == (0, 1)


def test_a_name_that_no_source_can_have_is_refused_before_anything_is_read(
    command: Command,  # noqa: F811
) -> None:
    ran = command("legacy", "discover", "env:NOT_SET", "--name", "My Shop")
    assert ran.code == 2
    assert "--name is made of" in ran.err


def test_nothing_is_written_where_only_bytes_of_no_known_kind_were_found(
    command: Command,  # noqa: F811
    tmp_path: Path,
) -> None:
    (tmp_path / "shop.db").touch()
    url = f"sqlite:///{tmp_path / 'shop.db'}"
    run(url, "CREATE TABLE t (id INTEGER PRIMARY KEY, raw BLOB)", "INSERT INTO t VALUES (1, X'00ff00ff')")
    ran = command("legacy", "discover", url, "--write", "legacy.toml")
    assert ran.code == 1
    assert "nothing to configure" in ran.err
    assert not (tmp_path / "legacy.toml").exists()


def test_names_and_pointers_with_line_breaks_do_not_break_the_written_file() -> None:
    name, pointer = 'a\n[[source]]\nname = "x"\x7f', "/a\nname = 5\r\x00\u2028/url"
    look = TableLook(name, False, 1, 1, ("id",), ("id", "url"), frozenset(), None, None)
    found = Discovery("sqlite:///a.db", "sqlite", [look], [Place(name, "url", pointer, "h\nh", "s3", 1)])
    [source] = parse_sources(propose(found, name="a", url="env:A")).values()
    assert [table.name for table in source.tables] == [name]


def test_an_sqlite_address_that_asks_for_reading_only_is_never_written_through(tmp_path: Path) -> None:
    (tmp_path / "shop.db").touch()
    url = f"sqlite:///{tmp_path / 'shop.db'}"
    run(url, "CREATE TABLE t (id INTEGER PRIMARY KEY)")
    for address in (
        f"{url}?mode=ro",
        f"sqlite:///file:{tmp_path / 'shop.db'}?mode=ro&uri=true",
        f"{url}?immutable=1",
    ):
        with open_database(address, name="a", for_writing=True) as database:
            assert "read" in (database.why_not_writable("t") or "")
            with pytest.raises(SourceError), database.begin() as connection:
                connection.exec_driver_sql("INSERT INTO t VALUES (1)")
