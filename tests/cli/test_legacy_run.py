"""``legacy run`` tells lost, waiting and refused apart: in words, in JSON and by its exit code."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from tests.cli.conftest import Command
from tests.legacy.source_for_tests import EXPIRED, MISSING, Host, Shop, a_host, a_shop


@pytest.fixture
def host() -> Iterator[Host]:
    with a_host() as running:
        yield running


@pytest.fixture
def shop(environment: Path, tmp_path: Path, host: Host, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    """A shop and the command line on the same installation."""
    opened = a_shop(tmp_path, host)
    key = opened.services.settings.ledger_key
    assert key is not None
    monkeypatch.setenv("VIDEO_ASSETS_LEDGER_KEY", key.get_secret_value())
    monkeypatch.setenv("VIDEO_ASSETS_ALLOWED_HOSTS", f"127.0.0.1:{host.port}")
    (tmp_path / "legacy.toml").write_text(
        f'[[source]]\nname = "shop"\nurl = "sqlite:///{opened.path}"\n'
        '[[source.table]]\nname = "out"\n[[source.table.columns]]\nname = "url"\ntype = "text"\n'
    )
    yield opened
    opened.services.catalog.close()


def test_lost_waiting_and_given_up_have_words_and_codes_of_their_own(
    shop: Shop, host: Host, command: Command
) -> None:
    host.answers["lost"] = EXPIRED
    shop.rows(host.link("lost"), host.link("fine"))
    command("legacy", "inventory")
    ran = command("legacy", "run", "shop", "--apply", "--json")
    [document] = ran.document
    assert (ran.code, document["outcome"]) == (1, "negative")
    assert document["reasons_by_result"] == {"lost": {"source_expired": 1}}
    again = command("legacy", "run", "shop", "--apply")
    assert again.code == 1
    assert "nothing is left to do" not in again.out
    assert "1 places are lost" in again.out
    assert "0123456789abcdef" not in again.out + again.err, "no link is ever shown"
    gave = command("legacy", "give-up", "shop", "--lost", "--why", "too old")
    assert gave.out == "shop: 1 files are given up.\n"
    last = command("legacy", "run", "shop", "--apply")
    assert (last.code, last.out) == (0, "shop: nothing is left to do.\n")


def test_what_waits_and_what_a_limit_refuses_differ_in_their_codes(
    shop: Shop, host: Host, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.answers["waits"] = MISSING
    shop.rows(host.link("waits", lives=timedelta(days=5)))
    command("legacy", "inventory")
    waits = command("legacy", "run", "shop")
    assert waits.code == 4
    assert "waits and is tried again" in waits.out
    host.answers.clear()
    monkeypatch.setenv("VIDEO_ASSETS_MAX_DOWNLOAD_BYTES", "100")
    refused = command("legacy", "run", "shop")
    assert refused.code == 5
    assert "waits for a person" in refused.out
    assert "Raise VIDEO_ASSETS_MAX_DOWNLOAD_BYTES" in refused.out
    monkeypatch.delenv("VIDEO_ASSETS_MAX_DOWNLOAD_BYTES")
    assert command("legacy", "run", "shop").code == 0


def test_a_fault_of_this_side_is_told_with_its_remedy_also_beside_files_that_came(
    shop: Shop, host: Host, command: Command
) -> None:
    shop.rows("https://clips.example.invalid/a.mp4?" + host.link("a").partition("?")[2], host.link("fine"))
    command("legacy", "inventory")
    ran = command("legacy", "run", "shop")
    assert ran.code == 4
    assert "1 × host_unknown: waits" in ran.out or "1 × dns_failed: waits" in ran.out
    assert "this machine's DNS" in ran.out


def test_giving_up_has_to_say_what(shop: Shop, command: Command) -> None:
    ran = command("legacy", "give-up", "shop")
    assert ran.code == 2
    assert "--lost" in ran.err


def test_trying_again_what_is_lost_fetches_and_so_is_no_dry_run(shop: Shop, command: Command) -> None:
    assert command("legacy", "run", "shop", "--again-lost", "--dry-run").code == 2
