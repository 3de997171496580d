"""A legacy file that cannot be fetched waits while its link may live and is lost when that is certain; it
keeps for a while what could bring it back."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import select

from tests.legacy.source_for_tests import (
    DELETED,
    DENIED,
    DOWN,
    EXPIRED,
    MISSING,
    Answer,
    Host,
    Shop,
    a_host,
    a_shop,
)
from video_assets.catalog import MediaState
from video_assets.catalog.audit import audit_persisted_urls
from video_assets.catalog.legacy import LegacyFile, LegacyFinding
from video_assets.catalog.lost_links import erase_lost_links
from video_assets.catalog.models import utc_now
from video_assets.cli.failures import ExitCode
from video_assets.cli.legacy.run import run_source
from video_assets.cli.legacy.run_report import RunReport, show_run
from video_assets.legacy import process_batch as processing
from video_assets.legacy.inventory.batches import plan_batches
from video_assets.legacy.inventory.take import take_inventory
from video_assets.legacy.process_batch import Mode, process_batch
from video_assets.legacy.proof.full_scan import scan_source
from video_assets.legacy.rescue.lost import again_lost, give_up
from video_assets.reasons import Reason
from video_assets.services import Services
from video_assets.storage.durable import StorageFailed
from video_assets.transfer.download.downloader import Downloader
from video_assets.transfer.download.host_throttle import HostThrottle


@pytest.fixture
def host() -> Iterator[Host]:
    with a_host() as running:
        yield running


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run waits for no next attempt; how far apart they are is tested with the pure function."""
    monkeypatch.setattr(processing.process_batch, "__kwdefaults__", {
        **(processing.process_batch.__kwdefaults__ or {}), "patience": timedelta()
    })  # fmt: skip


@pytest.fixture
def shop(tmp_path: Path, host: Host) -> Iterator[Shop]:
    opened = a_shop(tmp_path, host)
    yield opened
    opened.services.catalog.close()


def run(shop: Shop, *, full: bool = False, services: Services | None = None, **more: Any) -> RunReport:
    take_inventory(shop.services.catalog, shop.source, full=full)
    parts = services or replace(
        shop.services, downloader=Downloader(shop.services.downloader.policy, gate=HostThrottle())
    )
    return run_source(parts, shop.source, Mode.APPLY, quiet=True, **more)


def files(shop: Shop) -> list[LegacyFile]:
    with shop.services.catalog.read() as session:
        return list(session.exec(select(LegacyFile).order_by(LegacyFile.redacted)))


def states(shop: Shop) -> list[str]:
    with shop.services.catalog.read() as session:
        return sorted(str(state) for state in session.exec(select(LegacyFinding.state)))


REFUSALS: dict[str, Answer] = {
    "challenge": (403, "text/html", b"<!DOCTYPE html><html><title>Just a moment...</title></html>"),
    "denied": DENIED,
    "lagging": MISSING,
    "plain404": (404, "text/plain", b"Not Found"),
    "gone": (410, "text/plain", b"Gone"),
    "skewed": (403, "application/xml", b"<Error><Code>RequestTimeTooSkewed</Code></Error>"),
    "early": (403, "application/xml", b"<Error><Code>AccessDenied</Code><Message>Request is not valid yet"
              b"</Message></Error>"),
    "portal": (200, "text/html", b"<html><body>Log in to the guest network</body></html>"),
    "maintenance": (200, "application/json", b'{"message":"maintenance, try later"}'),
    "unpaid": (402, "text/plain", b"Payment required"),
    "legal": (451, "text/plain", b"blocked"),
}  # fmt: skip


def test_refusals_that_may_pass_lose_nothing_while_a_link_may_live(shop: Shop, host: Host) -> None:
    host.answers.update(REFUSALS)
    shop.rows(*map(host.link, REFUSALS))
    for _ in range(2):
        report = run(shop)
        assert {file.state for file in files(shop)} == {MediaState.PENDING}
        assert all(file.temporary_url and file.next_attempt_at for file in files(shop))
        assert report.exit_code is ExitCode.WAITING
    host.answers.clear()
    assert run(shop).exit_code is ExitCode.OK
    assert all(url.startswith(shop.services.settings.public_base_url) for url in shop.urls())


def test_a_source_that_is_down_for_forty_tries_is_still_waited_for(shop: Shop, host: Host) -> None:
    host.answers["a"] = DOWN
    shop.rows(host.link("a"))
    run(shop)
    with shop.services.catalog.write() as session:
        session.exec(select(LegacyFile)).one().attempts = 400
    assert run(shop).exit_code is ExitCode.WAITING
    [file] = files(shop)
    assert file.next_attempt_at is not None
    assert utc_now() + timedelta(minutes=30) < file.next_attempt_at < utc_now() + timedelta(hours=2)


@pytest.mark.parametrize(("answer", "reason"), [(EXPIRED, Reason.SOURCE_EXPIRED), (DELETED, Reason.SOURCE_GONE)])
def test_what_the_source_says_for_certain_is_decided_at_once(
    shop: Shop, host: Host, answer: Answer, reason: Reason
) -> None:
    host.answers["a"] = answer
    shop.rows(host.link("a"))
    report = run(shop)
    [file] = files(shop)
    assert (file.state, file.reason) == (MediaState.LOST, str(reason))
    assert file.temporary_url == shop.urls()[0], "kept, encrypted"
    assert file.evidence["given_up_because"]
    assert report.exit_code is ExitCode.NEGATIVE
    with shop.services.catalog.read() as session:
        assert audit_persisted_urls(session).no_temporary_url


def test_a_dead_link_that_is_refused_is_lost_at_once(shop: Shop, host: Host) -> None:
    host.answers["a"] = DENIED
    shop.rows(host.link("a", lives=timedelta(hours=-2)))
    run(shop)
    assert files(shop)[0].reason == str(Reason.SOURCE_EXPIRED)
    assert files(shop)[0].state == MediaState.LOST


def test_without_a_deadline_a_source_is_asked_for_days_not_for_a_number_of_tries(shop: Shop, host: Host) -> None:
    host.answers["a"] = MISSING
    shop.rows(
        f"http://127.0.0.1:{host.port}/a?token=eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.A1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q7r8S9t0U1v"
    )
    for _ in range(6):
        run(shop)
    [file] = files(shop)
    assert (file.state, file.deadline_at) == (MediaState.PENDING, None)
    with shop.services.catalog.write() as session:
        session.get_one(LegacyFile, file.id).failing_since = utc_now() - timedelta(days=8)
    run(shop)
    assert files(shop)[0].state == MediaState.LOST
    assert "since" in files(shop)[0].evidence["given_up_because"]


def test_an_outage_of_the_store_stops_the_clock_of_the_source(shop: Shop, host: Host) -> None:
    """A file was in hand: whatever the source did before, it counts anew from its next failure."""
    host.answers["a"] = DOWN
    shop.rows(host.link("a"))
    run(shop)
    assert files(shop)[0].failing_since is not None
    host.answers.clear()

    class Broken:
        def __getattr__(self, name: str) -> Any:
            return getattr(shop.services.storage, name)

        def put(self, *_: Any, **__: Any) -> Any:
            raise StorageFailed("the bucket is away")

    report = run(shop, services=replace(shop.services, storage=Broken()))
    assert report.exit_code is ExitCode.UNAVAILABLE
    assert report.unavailable is not None
    assert report.unavailable.startswith("0 of 1 could be stored")
    [file] = files(shop)
    assert (file.state, file.reason, file.failing_since) == (MediaState.PENDING, "storage_failed", None)


# -- our own side --------------------------------------------------------------------------------------------


def resolving(shop: Shop, answer: list[str] | Exception) -> Services:
    def resolve(_host: str) -> list[str]:
        if isinstance(answer, Exception):
            raise answer
        return answer

    policy = shop.services.downloader.policy
    return replace(shop.services, downloader=Downloader(policy, resolve, gate=HostThrottle()))


@pytest.mark.parametrize(
    "answer",
    [["198.18.0.7"], ["64:ff9b::808:808"], socket.gaierror(socket.EAI_AGAIN, "no answer"),
     socket.gaierror(socket.EAI_NONAME, "no such name")],
    ids=["fake-ip", "nat64", "no answer", "every name unknown"],
)  # fmt: skip
def test_a_machine_without_names_stops_early_says_so_and_loses_nothing(
    shop: Shop, answer: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    signature = Host().link("x").partition("?")[2]
    shop.rows(*(f"https://media.example-{n % 5}.com/{n}.mp4?{signature}" for n in range(212)))
    report = run(shop, services=resolving(shop, answer))
    assert report.exit_code is ExitCode.UNAVAILABLE
    assert report.unavailable is not None
    tried = sum(file.attempts for file in files(shop))
    assert tried < 212, "it stopped early"
    assert report.unavailable.startswith(f"0 of {tried} could be resolved")
    assert f"{212 - tried} more were not tried" in report.unavailable
    assert {file.state for file in files(shop)} == {MediaState.PENDING}
    show_run(report)
    assert "no fault of the sources" in capsys.readouterr().out


def test_one_host_that_cannot_be_resolved_keeps_no_other_from_being_saved(shop: Shop, host: Host) -> None:
    dead = [f"https://closed.example.com/{n}.mp4?{Host().link('x').partition('?')[2]}" for n in range(60)]
    shop.rows(*dead, *(host.link(f"v{n}") for n in range(5)))

    def resolve(_name: str) -> list[str]:
        raise socket.gaierror(socket.EAI_NONAME, "no such name")

    policy = shop.services.downloader.policy
    report = run(
        shop, services=replace(shop.services, downloader=Downloader(policy, resolve, gate=HostThrottle()))
    )
    assert report.files["stored"] == 5
    assert report.unavailable is None
    assert report.exit_code is ExitCode.WAITING
    assert sum(file.attempts for file in files(shop)) < 65, "the rest of that host was left alone"


def test_what_our_own_rules_refuse_waits_for_a_person_who_changes_the_rule(tmp_path: Path, host: Host) -> None:
    shop = a_shop(tmp_path, host, max_download_bytes=100)
    shop.rows(host.link("a"))
    report = run(shop)
    assert report.files == {"refused": 1}
    assert report.exit_code is ExitCode.REFUSED
    assert files(shop)[0].state == MediaState.PENDING
    policy = replace(shop.services.downloader.policy, max_bytes=10**9)
    report = run(shop, services=replace(shop.services, downloader=Downloader(policy, gate=HostThrottle())))
    assert report.exit_code is ExitCode.OK
    shop.services.catalog.close()


# -- what brings a lost file back ------------------------------------------------------------------------------


def test_a_lost_file_is_tried_again_by_its_kept_link(
    shop: Shop, host: Host, capsys: pytest.CaptureFixture[str]
) -> None:
    host.answers["a"] = EXPIRED
    shop.rows(host.link("a"), host.link("b"))
    assert run(shop).exit_code is ExitCode.NEGATIVE
    nothing = run(shop)
    assert (nothing.batches, nothing.exit_code) == (0, ExitCode.NEGATIVE), "lost stays an answer"
    show_run(nothing)
    assert "nothing is left to do" not in (said := capsys.readouterr().out)
    assert "--again-lost" in said
    host.answers.clear()
    report = run(shop, again=True)
    assert report.again is not None
    assert report.again.files == 1
    assert report.exit_code is ExitCode.OK
    assert states(shop) == ["rewritten", "rewritten"]


def test_trying_again_says_which_files_have_nothing_left(shop: Shop, host: Host) -> None:
    host.answers["a"] = EXPIRED
    shop.rows(host.link("a"))
    run(shop)
    with shop.services.catalog.write() as session:
        session.exec(select(LegacyFile)).one().temporary_url = None
    found = again_lost(shop.services.catalog, "shop")
    assert (found.files, found.without_means) == (0, 1)
    assert states(shop) == ["lost"]


def test_the_link_of_a_lost_file_is_erased_some_time_after_its_death(shop: Shop, host: Host) -> None:
    host.answers.update({"dead": DENIED, "living": EXPIRED})
    shop.rows(host.link("dead", lives=timedelta(hours=-1)), host.link("living", lives=timedelta(days=5)))
    run(shop)
    catalog, month = shop.services.catalog, timedelta(days=30)
    assert erase_lost_links(catalog, kept_for=month) == 0
    assert erase_lost_links(catalog, kept_for=month, now=utc_now() + timedelta(days=31)) == 1
    assert [bool(file.temporary_url) for file in files(shop)] == [False, True], "5 days of life come first"
    assert erase_lost_links(catalog, kept_for=month, now=utc_now() + timedelta(days=36)) == 1
    assert erase_lost_links(catalog, kept_for=month, now=utc_now() + timedelta(days=36)) == 0


def test_a_full_inventory_does_not_resurrect_a_lost_file_by_the_link_that_was_lost(
    shop: Shop, host: Host
) -> None:
    host.answers["a"] = EXPIRED
    shop.rows(host.link("a"))
    run(shop)
    for erased in (False, True):
        if erased:
            with shop.services.catalog.write() as session:
                session.exec(select(LegacyFile)).one().temporary_url = None
        assert run(shop, full=True).batches == 0
        assert states(shop) == ["lost"]
    assert len(host.asked) == 1


def test_a_freshly_signed_link_brings_a_lost_file_back_wherever_it_is_found(shop: Shop, host: Host) -> None:
    host.answers.update({"a": EXPIRED, "b": EXPIRED})
    shop.rows(host.link("a"), host.link("b"))
    run(shop)
    host.answers.clear()
    fresh = {"lives": timedelta(days=6), "signature": "fedcba9876543210"}
    shop.sql("UPDATE out SET url = :u WHERE id = 1", u=host.link("a", **fresh))
    shop.rows(host.link("b", **fresh))
    report = run(shop, full=True)
    assert report.exit_code is ExitCode.OK
    assert states(shop) == ["rewritten"] * 3, "the row with the old link of the same file too"


def test_a_file_that_an_earlier_version_lost_with_its_link_gets_the_living_one_of_its_row(
    shop: Shop, host: Host
) -> None:
    host.answers["a"] = EXPIRED
    shop.rows(host.link("a"))
    run(shop)
    with shop.services.catalog.write() as session:
        file = session.exec(select(LegacyFile)).one()
        file.temporary_url = file.lost_at = None
    host.answers.clear()
    take_inventory(shop.services.catalog, shop.source, full=True)
    assert files(shop)[0].state == MediaState.PENDING
    again_lost(shop.services.catalog, "shop")
    assert run(shop, full=True, again=True).exit_code is ExitCode.OK


# -- giving up -----------------------------------------------------------------------------------------------


def test_what_a_person_gives_up_has_a_word_of_its_own(shop: Shop, host: Host) -> None:
    host.answers.update({"lost": EXPIRED, "waits": DOWN})
    shop.rows(host.link("lost"), host.link("waits"), host.link("fine"))
    run(shop)
    waits = next(file for file in files(shop) if file.state == MediaState.PENDING)
    assert give_up(shop.services.catalog, "shop", files=[waits.id], lost=True, why="deleted in March") == 2
    given_up = [file for file in files(shop) if file.state == MediaState.GIVEN_UP]
    assert [(file.temporary_url, file.message) for file in given_up] == [(None, "deleted in March")] * 2
    assert states(shop) == ["given_up", "given_up", "rewritten"]
    report = run(shop, full=True)
    assert (report.batches, report.exit_code) == (0, ExitCode.OK), "nothing is left to do"
    assert again_lost(shop.services.catalog, "shop").files == 0
    scan = scan_source(shop.source, shop.services.catalog)
    assert dict(scan.classes) == {"given_up": 2}
    assert scan.is_accounted


def test_what_is_given_up_while_a_worker_has_it_stays_given_up(shop: Shop, host: Host) -> None:
    shop.rows(host.link("a"))

    def observer(step: str, file_id: str) -> None:
        if step == "downloaded":
            assert give_up(shop.services.catalog, "shop", files=[file_id]) == 1

    take_inventory(shop.services.catalog, shop.source)
    [key] = plan_batches(shop.services.catalog, "shop").new
    process_batch(shop.services, shop.source, key, mode=Mode.APPLY, observer=observer)  # type: ignore[arg-type]
    assert files(shop)[0].state == MediaState.GIVEN_UP
    assert states(shop) == ["given_up"]
    assert shop.urls()[0].startswith("http://127.0.0.1")


def test_two_workers_agree_about_what_waits_and_what_is_lost(shop: Shop, host: Host) -> None:
    for number in range(12):
        host.answers[f"v{number}"] = EXPIRED if number % 3 == 0 else MISSING
        shop.rows(host.link(f"v{number}"))
    take_inventory(shop.services.catalog, shop.source)
    [key] = plan_batches(shop.services.catalog, "shop").new

    def work(_: int) -> None:
        process_batch(shop.services, shop.source, key, mode=Mode.APPLY)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(work, range(2)))
    assert [str(file.state) for file in files(shop)].count("lost") == 4
    assert states(shop) == ["lost"] * 4 + ["pending"] * 8
    host.answers.clear()
    assert run(shop, again=True).exit_code is ExitCode.OK
    assert states(shop) == ["rewritten"] * 12
