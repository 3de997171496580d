from __future__ import annotations

import pytest

from tests.cli.conftest import Command, one_sentence
from tests.world import World

PENDING = "waits for its rescue"


def test_an_empty_catalog_says_how_to_begin(command: Command) -> None:
    ran = command("list")
    assert ran.code == 0
    assert "submit --help" in ran.out


def test_pages_hold_every_generation_once_newest_first(command: Command, world: World) -> None:
    ids = [world.request(f"number {number}") for number in range(5)]
    seen: list[str] = []
    after: list[str] = []
    while True:
        page = command("list", "--limit", "2", *after, "--json").document
        seen += [row["id"] for row in page["generations"]]
        if page["next"] is None:
            break
        after = ["--after", page["next"]]
    assert seen == ids[::-1]


def test_filters_are_joined(command: Command, world: World) -> None:
    world.request("one")
    wanted = world.request("two", provider="luma", campaign="spring")
    found = command("list", "--provider", "luma", "--campaign", "spring", "--status", "queued", "--json").document
    assert [row["id"] for row in found["generations"]] == [wanted]
    assert command("list", "--owner", "nobody", "--json").document["generations"] == []


@pytest.mark.parametrize("arguments", [("--status", "done"), ("--limit", "0"), ("--limit", "x")])
def test_a_filter_that_cannot_be_is_named(command: Command, arguments: tuple[str, str]) -> None:
    ran = command("list", *arguments)
    assert ran.code == 2
    assert arguments[0] in one_sentence(ran)


@pytest.mark.parametrize("words", [("show",), ("watch",), ("retry",), ("cancel",), ("verify",), ("doctor",)])
def test_an_unknown_id_is_named_with_the_way_to_find_one(command: Command, words: tuple[str, ...]) -> None:
    ran = command(*words, "video-1-none")
    assert ran.code == 2
    sentence = one_sentence(ran)
    assert "'video-1-none'" in sentence
    assert "video-assets list" in sentence


def test_show_tells_the_deadline_of_a_pending_link_and_never_the_link(command: Command, world: World) -> None:
    key = world.finished(f"{PENDING} [emulator: link_ttl=600]", versions=2)
    told = command("show", key)
    shown = command("show", key, "--json")
    assert told.code == shown.code == 0
    assert "dies in 10 min" in told.out
    outputs = shown.document["outputs"]
    assert len(outputs) == 2
    assert all(0 < output["seconds_left"] <= 601 for output in outputs)
    everything = told.out + told.err + shown.out + shown.err
    assert not [secret for secret in world.emulator.issued_secrets() if secret in everything]


def test_show_ends_with_durable_links_and_what_happened(command: Command, world: World) -> None:
    key = world.finished("becomes durable")
    world.rescue(key)
    document = command("show", key, "--json").document
    assert document["status"] == "completed"
    [video] = [file for file in document["media"] if file["role"] == "video"]
    assert video["url"].startswith(world.settings.public_base_url)
    assert len(video["sha256"]) == 64
    assert [event["step"] for event in document["events"]][-1] == "completed"
    assert video["url"] in command("show", key).out


def test_text_from_outside_cannot_rewrite_the_terminal(command: Command, world: World) -> None:
    key = world.request("nice \x1b[2J\x1b]0;owned\x07 [red]prompt[/red]")
    out = command("show", key).out + command("list").out
    assert "\x1b" not in out
    assert "\x07" not in out
    assert "[red]prompt[/red]" in out


def test_watch_ends_when_all_are_settled(command: Command, world: World) -> None:
    key = world.finished("watched")
    world.rescue(key)
    ran = command("watch", key)
    assert ran.code == 0
    assert "completed" in ran.out
    assert command("watch", "--json").document == {"generations": []}


def test_watch_gives_up_after_its_time_and_says_no(command: Command, world: World) -> None:
    key = world.request("never started")
    ran = command("watch", key, "--timeout", "0", "--json")
    assert ran.code == 1
    assert ran.document["generations"][0]["settled"] is False
