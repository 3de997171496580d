"""Files behind a provider's own key: fetched with it, and the key is shown to nobody else."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import pytest
from pydantic import SecretStr
from sqlmodel import Session

from tests.world import World
from video_assets.catalog import GenerationStatus, MediaState, Output
from video_assets.emulator import Emulator
from video_assets.providers.http import ApiClient
from video_assets.providers.runway import Runway


@dataclass
class FileHost:
    """A real server with one video; it may want a key, or lead elsewhere."""

    video: bytes
    wants: str | None = None
    leads_to: str | None = None
    url: str = ""
    seen: list[str | None] = field(default_factory=list)
    """The Authorization header of each request."""


@contextmanager
def file_host(video: bytes, **more: Any) -> Iterator[FileHost]:
    host = FileHost(video, **more)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            key = self.headers.get("Authorization")
            host.seen.append(key)
            if host.wants is not None and key != host.wants:
                status, body, kind = 401, b'{"error": "no key"}', "application/json"
            elif host.leads_to is not None:
                status, body, kind = 302, b"", "text/plain"
            else:
                status, body, kind = 200, host.video, "video/mp4"
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            if status == 302:
                self.send_header("Location", host.leads_to or "")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    host.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield host
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def reachable(*hosts: FileHost) -> dict[str, Any]:
    """The settings that let ``hosts`` be fetched from."""
    places = [urlsplit(host.url) for host in hosts]
    return {
        "allowed_hosts": tuple(place.netloc for place in places),
        "allowed_ports": tuple(place.port for place in places),
    }


@dataclass
class Kept:
    """A finished generation whose file is behind ``host``."""

    world: World
    key: str

    def behind(self, url: str, *, keyed: bool = True, **changes: Any) -> World:
        """The installation whose Runway is at the emulator, with the output's link replaced by ``url``."""
        world = World.open(self.world.emulator, self.world.settings.home, **changes)

        def change(session: Session) -> None:
            row = session.get_one(Output, self.world.outputs(self.key)[0].id)
            row.temporary_url, row.needs_provider_key, row.deadline_at = url, keyed, None

        world.edit(change)
        return world


@pytest.fixture
def kept(world: World) -> Kept:
    return Kept(world, world.finished("behind a key"))


@pytest.fixture
def video(emulator: Emulator, kept: Kept) -> bytes:
    content = emulator.job(kept.world.task(kept.key)).assets[0].content.result()
    return content.path.read_bytes()


def test_a_file_of_the_provider_itself_is_fetched_with_the_key(kept: Kept, video: bytes) -> None:
    with file_host(video, wants="Bearer key_own") as host:
        world = kept.behind(
            f"{host.url}/v1/videos/1/content",
            runway_base_url=host.url,
            runway_api_key="key_own",
            **reachable(host),
        )
        assert world.rescue(kept.key) == ["stored"]
        assert world.status(kept.key) is GenerationStatus.COMPLETED
        world.services.catalog.close()
    assert set(host.seen) == {"Bearer key_own"}
    database = b"".join(path.read_bytes() for path in world.settings.home.glob("catalog.db*"))
    assert b"key_own" not in database


@pytest.mark.parametrize("keyed", [True, False])
def test_no_other_host_sees_the_key_and_no_link_that_asks_for_none(kept: Kept, video: bytes, keyed: bool) -> None:
    with file_host(video) as host:
        own = host.url if not keyed else kept.world.emulator.runway_base_url
        world = kept.behind(f"{host.url}/v.mp4", keyed=keyed, runway_base_url=own, **reachable(host))
        assert world.rescue(kept.key) == ["stored"]
        world.services.catalog.close()
    assert set(host.seen) == {None}


def test_the_key_stays_behind_when_the_provider_leads_to_a_store(kept: Kept, video: bytes) -> None:
    with file_host(video) as store, file_host(b"", wants="Bearer key_own", leads_to=f"{store.url}/v.mp4") as host:
        world = kept.behind(
            f"{host.url}/content", runway_base_url=host.url, runway_api_key="key_own", **reachable(host, store)
        )
        assert world.rescue(kept.key) == ["stored"]
        world.services.catalog.close()
    assert set(host.seen) == {"Bearer key_own"}
    assert set(store.seen) == {None}


def test_a_missing_key_is_waited_for_and_costs_no_file(kept: Kept, video: bytes) -> None:
    with file_host(video, wants="Bearer key_own") as host:
        without = kept.behind(
            f"{host.url}/content", runway_base_url=host.url, runway_api_key=None, **reachable(host)
        )
        assert without.rescue(kept.key) == ["waiting"]
        output = without.outputs(kept.key)[0]
        assert output.reason == "provider_error"
        assert "VIDEO_ASSETS_RUNWAY_API_KEY" in (output.message or "")
        without.services.catalog.close()
        assert host.seen == []
        world = kept.behind(
            f"{host.url}/content", runway_base_url=host.url, runway_api_key="key_own", **reachable(host)
        )
        assert world.rescue(kept.key) == ["stored"]
        world.services.catalog.close()
    assert world.outputs(kept.key)[0].state is MediaState.STORED


@pytest.mark.parametrize(
    ("url", "goes"),
    [
        ("https://api.acme.test/v1/videos/7/content", True),
        ("https://API.acme.test:443/v1/videos/7/content?variant=video", True),
        ("http://api.acme.test/v1/videos/7/content", False),
        ("https://api.acme.test:8443/v1/videos/7/content", False),
        ("https://api.acme.test/v10/videos", False),
        ("https://api.acme.test/media/7.mp4", False),
        ("https://cdn.acme.test/v1/7.mp4", False),
        ("https://api.acme.test.evil.test/v1/7.mp4", False),
        ("https://me@api.acme.test/v1/7.mp4", False),
        ("https://evil.test/https://api.acme.test/v1/", False),
        ("https://[::1", False),
    ],
)
def test_the_key_goes_below_the_base_url_and_nowhere_else(url: str, goes: bool) -> None:
    client = ApiClient(
        provider="acme",
        base_url="https://api.acme.test/v1",
        address_setting="A",
        key=SecretStr("key_own"),
        key_setting="K",
        connect_timeout=1,
        timeout=1,
        headers={"X-Version": "1"},
    )
    assert client.download_headers(url) == ({"Authorization": "Bearer key_own", "X-Version": "1"} if goes else {})


def test_every_provider_answers_for_its_own_address(world: World) -> None:
    runway = world.services.provider("runway")
    assert isinstance(runway, Runway)
    assert "Authorization" in runway.download_headers(f"{world.settings.runway_base_url}/v1/tasks/1/content")
    assert runway.download_headers("https://example.com/a.mp4") == {}
