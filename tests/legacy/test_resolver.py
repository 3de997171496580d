"""The old-link resolver, over HTTP: any old signature leads to the durable copy, and no address leaks."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

import pytest
import requests

from tests.urls.test_classify_schemes import SHA256, token
from tests.web.conftest import running_media_server
from video_assets.catalog import Catalog, open_catalog
from video_assets.catalog.legacy import LegacyFile, LegacySource
from video_assets.catalog.models import (
    Generation,
    MediaFile,
    MediaState,
    Output,
    ProviderJob,
)
from video_assets.legacy.search.rows import file_id
from video_assets.settings import Settings
from video_assets.urls import fingerprint, redact
from video_assets.web.resolve import asked_for

DURABLE = "https://media.example.com/ann/video-1.mp4"


def old(name: str, signature: str = SHA256) -> str:
    return (
        f"https://old.example.com/{name}?X-Amz-Date=20270115T070000Z&X-Amz-Expires=9&X-Amz-Signature={signature}"
    )


@dataclass
class Resolver:
    base: str
    log: Path
    catalog: Catalog

    def __call__(self, url: str, *, encode: bool = True, method: str = "GET") -> requests.Response:
        question = quote(url, safe="") if encode else url
        return requests.request(method, f"{self.base}/resolve?url={question}", allow_redirects=False, timeout=10)


@pytest.fixture(scope="module")
def resolver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Resolver]:
    home = tmp_path_factory.mktemp("resolver") / "home"
    catalog = open_catalog(Settings(_env_file=None, home=home))
    legacy = {
        "stored.mp4": {"state": MediaState.STORED, "file_url": DURABLE},
        "waiting.mp4": {"state": MediaState.PENDING, "temporary_url": old("waiting.mp4")},
        "lost.mp4": {
            "state": MediaState.LOST,
            "message": "its host says that it is gone",
            "evidence": {"status": 404, "asked": redact(old("lost.mp4"))},
        },
    }
    with catalog.write() as session:
        session.add(LegacySource(name="app"))
        for name, values in legacy.items():
            print_ = fingerprint(old(name))
            file = LegacyFile(id=file_id("app", print_), source="app", fingerprint=print_, **values)
            session.add(file)
        session.add(Generation(id="g", owner="ann", provider="runway", model="m", prompt="p"))
        session.flush()
        session.add(ProviderJob(id="j", generation_id="g", provider="runway", model="m", client_reference="c"))
        session.flush()
        for name, state in (("live.mp4", MediaState.STORED), ("gone.mp4", MediaState.LOST)):
            print_ = fingerprint(f"https://dnznrvs05pmza.cloudfront.net/{name}")
            index = 0 if state is MediaState.STORED else 1
            session.add(
                Output(
                    id=name, generation_id="g", job_id="j", kind="video", index=index, source_fingerprint=print_,
                    state=state, message="gone", evidence={"status": 401},
                )
            )  # fmt: skip
        session.flush()
        session.add(
            MediaFile(
                id="live.mp4", generation_id="g", output_id="live.mp4", role="video", state=MediaState.STORED,
                bucket="b", key="k.mp4", file_url=DURABLE, file_size=1, sha256=SHA256,
                uploaded_at=datetime.now(UTC),
            )
        )  # fmt: skip
    with running_media_server(home) as server:
        yield Resolver(server.base, server.log, catalog)
    catalog.close()


@pytest.mark.parametrize(
    "spell",
    [
        lambda: old("stored.mp4"),
        lambda: old("stored.mp4", "0" * 64),
        lambda: "https://old.example.com/stored.mp4",
        lambda: (
            "http://OLD.example.com/stored.mp4?X-Amz-Expires=1&X-Amz-Date=20200101T000000Z&X-Amz-Signature=ab"
        ),
        lambda: f"https://dnznrvs05pmza.cloudfront.net/live.mp4?_jwt={token()}",
        lambda: f"https://dnznrvs05pmza.cloudfront.net/live.mp4?_jwt={token(1)}",
    ],
)
def test_any_signature_of_a_saved_file_leads_to_its_durable_copy(
    resolver: Resolver, spell: Callable[[], str]
) -> None:
    for method in ("GET", "HEAD"):
        answer = resolver(spell(), method=method)
        assert (answer.status_code, answer.headers["Location"]) == (307, DURABLE)
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert answer.headers["Cache-Control"] == "no-store"


def test_an_address_pasted_without_encoding_is_understood(resolver: Resolver) -> None:
    assert resolver(old("stored.mp4"), encode=False).status_code == 307


def test_a_lost_file_is_answered_with_its_evidence(resolver: Resolver) -> None:
    answer = resolver(old("lost.mp4"))
    assert answer.status_code == 410
    assert answer.json()["evidence"]["status"] == 404
    assert answer.json()["detail"] == "its host says that it is gone"
    assert resolver("https://dnznrvs05pmza.cloudfront.net/gone.mp4").status_code == 410


def test_a_file_that_is_not_stored_yet_is_worth_asking_again(resolver: Resolver) -> None:
    answer = resolver(old("waiting.mp4"))
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0


def test_an_unknown_address_is_not_found_and_not_repeated(resolver: Resolver) -> None:
    answer = resolver(old("never-seen.mp4"))
    assert answer.status_code == 404
    assert answer.json()["status"] == "unknown"
    assert "never-seen" not in answer.text + json.dumps(dict(answer.headers))


@pytest.mark.parametrize(("query", "status"), [("", 400), ("?url=", 400), ("?other=1", 400)])
def test_a_question_without_an_address_is_told_so(resolver: Resolver, query: str, status: int) -> None:
    answer = requests.get(f"{resolver.base}/resolve{query}", timeout=10)
    assert answer.status_code == status


def test_an_absurdly_long_address_is_refused(resolver: Resolver) -> None:
    assert resolver("https://x/" + "a" * 20_000).status_code in (400, 414)


def test_no_address_is_written_into_the_log(resolver: Resolver) -> None:
    resolver(old("stored.mp4"))
    resolver(old("never-seen-either.mp4"), encode=False)
    log = resolver.log.read_text()
    assert "/resolve" in log
    assert "never-seen-either" not in log
    assert SHA256 not in log


@pytest.mark.parametrize(
    ("query", "url"),
    [
        ("url=https%3A%2F%2Fx%2Fa%3Fb%3D1%26c%3D2&other=1", "https://x/a?b=1&c=2"),
        ("other=1&url=https://x/a?b=1&c=2", "https://x/a?b=1&c=2"),
        ("curl=x", ""),
        ("url=%2Fmedia%2Fa.mp4", "/media/a.mp4"),
    ],
)
def test_the_address_is_read_encoded_or_not(query: str, url: str) -> None:
    assert asked_for(query) == url
