from __future__ import annotations

import re

import pytest

from tests.cli.conftest import Command, one_sentence
from video_assets.emulator import Emulator

RUNWAY = ("submit", "--provider", "runway", "--model", "gen4.5", "--owner", "ana")


def test_the_id_is_all_that_standard_output_holds(command: Command, with_keys: Emulator) -> None:
    ran = command(*RUNWAY, "--prompt", "A fox in the snow")
    assert ran.code == 0
    assert re.fullmatch(r"video-\d{13}-[0-9a-f]{6}\n", ran.out)
    assert "watch" in ran.err


def test_the_document_says_what_was_taken_in(command: Command, with_keys: Emulator) -> None:
    document = command(
        *RUNWAY, "--prompt", "A fox", "--param", "duration=5", "--versions", "2", "--json"
    ).document
    assert document["created"] is True
    assert (document["status"], document["versions"], document["parameters"]) == ("queued", 2, {"duration": 5})


def test_a_prompt_is_read_from_standard_input(command: Command, with_keys: Emulator) -> None:
    ran = command(*RUNWAY, "--prompt", "-", "--json", stdin="  ein Fuchs, חתול, 猫 🦊\n".encode())
    assert ran.document["prompt"] == "ein Fuchs, חתול, 猫 🦊"


def test_parameters_are_json_or_plain_text(command: Command, with_keys: Emulator) -> None:
    given = [
        "seed=7",
        "ratio=1280:720",
        'promptImage=[{"uri": "https://example.com/a.png"}]',
        "word=null",
        "half=0.5",
    ]
    arguments = [part for item in given for part in ("--param", item)]
    document = command(*RUNWAY, "--prompt", "A fox", *arguments, "--json").document
    assert document["parameters"] == {
        "seed": 7,
        "ratio": "1280:720",
        "promptImage": [{"uri": "https://example.com/a.png"}],
        "word": None,
        "half": 0.5,
    }


@pytest.mark.parametrize(
    ("bad", "named"),
    [
        ("duration", "KEY=VALUE"),
        ("=5", "KEY=VALUE"),
        ('options={"a": 1', "options"),
        ("list=[1, NaN]", "list"),
        ("deep=" + "[" * 100_000, "deep"),
    ],
)
def test_a_garbled_parameter_is_named_and_nothing_is_taken_in(
    command: Command, with_keys: Emulator, bad: str, named: str
) -> None:
    ran = command(*RUNWAY, "--prompt", "A fox", "--param", bad)
    assert ran.code == 2
    assert named in one_sentence(ran)
    assert command("list", "--json").document["generations"] == []


def test_a_parameter_given_twice_is_not_guessed_about(command: Command, with_keys: Emulator) -> None:
    ran = command(*RUNWAY, "--prompt", "A fox", "--param", "seed=1", "--param", "seed=2")
    assert ran.code == 2
    assert "seed is given twice" in one_sentence(ran)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"--provider": "sora"}, "no provider 'sora'; known are luma, runway"),
        ({"--model": " "}, "model: name the provider's model"),
        ({"--prompt": "   "}, "prompt: the prompt is empty"),
        ({"--prompt": "x" * 1001}, "1001 UTF-16 code units, gen4.5 takes 1000"),
        ({"--owner": " "}, "owner: a generation needs an owner"),
        ({"--owner": "o" * 201}, "owner: at most 200"),
        ({"--versions": "0"}, "versions: between 1 and 10"),
        ({"--versions": "11"}, "versions: between 1 and 10"),
        ({"--versions": "many"}, "--versions"),
        ({"--idempotency-key": ""}, "idempotency_key: between 1 and 255"),
    ],
)
def test_a_request_that_cannot_be_is_refused_by_the_name_of_its_part(
    command: Command, with_keys: Emulator, change: dict[str, str], named: str
) -> None:
    options = {"--provider": "runway", "--model": "gen4.5", "--owner": "ana", "--prompt": "A fox", **change}
    ran = command("submit", *(part for option in options.items() for part in option))
    assert ran.code == 2
    assert named in one_sentence(ran)
    assert command("list", "--json").document["generations"] == []


def test_a_missing_owner_is_named(command: Command, with_keys: Emulator) -> None:
    ran = command("submit", "--provider", "runway", "--model", "gen4.5", "--prompt", "A fox")
    assert ran.code == 2
    assert "'--owner'" in one_sentence(ran)


def test_a_missing_key_is_named_before_anything_is_taken_in(command: Command) -> None:
    ran = command(*RUNWAY, "--prompt", "A fox")
    assert ran.code == 2
    assert "VIDEO_ASSETS_RUNWAY_API_KEY" in one_sentence(ran)
    assert command("list", "--json").document["generations"] == []


def test_a_prompt_that_is_not_text_is_refused(command: Command, with_keys: Emulator) -> None:
    ran = command(*RUNWAY, "--prompt", "-", stdin=b"\xff\xfe\x00f")
    assert ran.code == 2
    assert "UTF-8" in one_sentence(ran)


def test_a_temporary_link_in_a_prompt_is_refused_and_not_repeated(command: Command, with_keys: Emulator) -> None:
    secret = "eyJhbGciOiJIUzI1NiJ9.eyJleHAiOjE3OTUyMzAxNDV9.c2lnbmF0dXJlc2lnbmF0dXJlc2lnbmF0dXJl"
    ran = command(*RUNWAY, "--prompt", f"like https://cdn.example.com/v.mp4?_jwt={secret}")
    assert ran.code == 2
    assert "temporary" in one_sentence(ran)
    assert secret not in ran.err


def test_the_same_idempotency_key_gives_the_first_generation(command: Command, with_keys: Emulator) -> None:
    first = command(*RUNWAY, "--prompt", "A fox", "--idempotency-key", "order-1", "--json").document
    second = command(*RUNWAY, "--prompt", "A fox", "--idempotency-key", "order-1", "--json").document
    assert (second["id"], second["created"]) == (first["id"], False)
    assert len(command("list", "--json").document["generations"]) == 1


def test_an_idempotency_key_cannot_be_reused_for_something_else(command: Command, with_keys: Emulator) -> None:
    first = command(*RUNWAY, "--prompt", "A fox", "--idempotency-key", "order-1", "--json").document
    ran = command(*RUNWAY, "--prompt", "A wolf", "--idempotency-key", "order-1")
    assert ran.code == 2
    assert first["id"] in one_sentence(ran)


def test_a_dry_run_checks_everything_and_writes_nothing(command: Command, with_keys: Emulator) -> None:
    assert command(*RUNWAY, "--prompt", "A fox", "--dry-run", "--json").document["dry_run"] is True
    assert command(*RUNWAY, "--prompt", "", "--dry-run").code == 2
    assert command("list", "--json").document["generations"] == []


def test_waiting_ends_with_the_generation(command: Command, with_keys: Emulator) -> None:
    given = command(*RUNWAY, "--prompt", "A fox", "--idempotency-key", "k", "--json").document
    assert command("cancel", given["id"]).code == 0
    ran = command(*RUNWAY, "--prompt", "A fox", "--idempotency-key", "k", "--wait", "--json")
    assert ran.code == 1, "it did not complete"
    assert ran.document["generations"][0]["status"] == "cancelled"
