from __future__ import annotations

import json

from tests.cli.conftest import Command, one_sentence
from tests.world import World
from video_assets.catalog import GenerationStatus


def test_cancel_while_queued_sends_nothing(command: Command, world: World) -> None:
    key = world.request("never sent")
    assert command("cancel", key, "--json").document["status"] == "cancelled"
    world.submit(key)
    assert world.emulator.submits("never sent") == 0


def test_cancel_at_the_provider_stops_it_there(command: Command, world: World) -> None:
    key = world.request("stopped in the middle [emulator: run_seconds=600]")
    world.submit(key)
    assert command("cancel", key).out == f"{key} is cancelled.\n"
    assert world.status(key) is GenerationStatus.CANCELLED


def test_what_is_generated_is_not_thrown_away(command: Command, world: World) -> None:
    key = world.finished("paid for")
    ran = command("cancel", key)
    assert ran.code == 1
    assert "paid for" in one_sentence(ran)
    assert world.status(key) is GenerationStatus.STORING


def test_what_is_settled_cannot_be_cancelled(command: Command, world: World) -> None:
    durable = world.finished("durable")
    world.rescue(durable)
    refused = world.finished("refused [emulator: fail=SAFETY.INPUT.TEXT]")
    cancelled = world.request("cancelled before")
    command("cancel", cancelled)
    for key, word in ((durable, "completed"), (refused, "failed"), (cancelled, "cancelled")):
        ran = command("cancel", key)
        assert ran.code == 1
        assert f"{key} is {word} already" in one_sentence(ran)


def test_retry_sends_a_failed_job_again(command: Command, world: World) -> None:
    key = world.finished("fails once [emulator: fail=INTERNAL]")
    document = command("retry", key, "--json").document
    assert (document["status"], document["attempt"]) == ("queued", 2)


def test_there_is_nothing_to_retry_about_a_durable_one(command: Command, world: World) -> None:
    key = world.finished("durable already")
    world.rescue(key)
    ran = command("retry", key)
    assert ran.code == 1
    assert "nothing to retry" in one_sentence(ran)


def test_verify_proves_from_the_bytes_of_the_store(command: Command, world: World) -> None:
    key = world.finished("proven")
    world.rescue(key)
    ran = command("verify", key, "--json")
    assert ran.code == 0
    [one] = ran.document["generations"]
    assert {check["name"] for check in one["checks"]} == {
        "no_persisted_jwt",
        "no_temporary_url",
        "stored_bytes_match",
        "publicly_readable",
        "playable",
    }
    assert "1 of 1 generations proven." in command("verify", key).out


def test_verify_says_no_when_one_byte_differs(command: Command, world: World) -> None:
    key = world.finished("tampered with")
    world.rescue(key)
    [media] = [file for file in world.media(key) if file.role == "video"]
    path = next(world.settings.local_storage_root.rglob(media.file_name or "?"))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(content)
    ran = command("verify", "--all", "--json")
    assert ran.code == 1
    document = ran.document
    assert (document["checked"], document["failed"], document["passed"]) == (1, 1, False)
    failed = [check["name"] for check in document["generations"][0]["checks"] if not check["passed"]]
    assert "stored_bytes_match" in failed


def test_verify_all_is_one_document_also_when_there_is_nothing(command: Command) -> None:
    ran = command("verify", "--all", "--json")
    assert ran.code == 0
    assert json.loads(ran.out) == {"generations": [], "checked": 0, "failed": 0, "passed": True}


def test_verify_wants_ids_or_all_but_not_both(command: Command) -> None:
    for arguments in (("--owner", "ana"), ("--all", "video-1")):
        ran = command("verify", *arguments)
        assert ran.code == 2
        assert "--all" in one_sentence(ran)
