"""The media server as players, browsers and attackers meet it: a real uvicorn, asked over real sockets."""

from __future__ import annotations

import http.client
import random
import re
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from video_assets.settings import Settings
from video_assets.storage import StorageFailed
from video_assets.storage.signing import load_signing_key, sign_media_query

from .conftest import CONTENT, KEY, SCRIPTED, MediaServer, running_media_server

SIZE = len(CONTENT)


def raw(server: MediaServer, target: str, method: str = "GET") -> tuple[int, bytes]:
    """Ask for exactly this request target; HTTP libraries tidy paths up before they send them."""
    connection = http.client.HTTPConnection(urlsplit(server.base).netloc, timeout=10)
    try:
        connection.putrequest(method, target)
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def test_the_whole_video_comes_with_everything_a_player_and_a_cache_need(server: MediaServer) -> None:
    answer = requests.get(server.media(), timeout=10)
    assert answer.status_code == 200
    assert answer.content == CONTENT
    assert answer.headers["Content-Type"] == "video/mp4"
    assert answer.headers["Content-Length"] == str(SIZE)
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert re.fullmatch(r'"[^"]+"', answer.headers["ETag"])
    assert "Content-Disposition" not in answer.headers


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [
        ("bytes=0-0", 0, 0),
        ("bytes=0-1", 0, 1),
        ("bytes=300000-599999", 300_000, 599_999),
        ("bytes=699999-", 699_999, SIZE - 1),
        ("bytes=-5", SIZE - 5, SIZE - 1),
        ("bytes=-99999999", 0, SIZE - 1),
        ("bytes=1-99999999", 1, SIZE - 1),
    ],
)
def test_a_range_answers_206_with_exactly_those_bytes(
    server: MediaServer, asked: str, first: int, last: int
) -> None:
    answer = requests.get(server.media(), headers={"Range": asked}, timeout=10)
    assert answer.status_code == 206
    assert answer.headers["Content-Range"] == f"bytes {first}-{last}/{SIZE}"
    assert answer.headers["Content-Length"] == str(last - first + 1)
    assert answer.content == CONTENT[first : last + 1]


@pytest.mark.parametrize("asked", [f"bytes={SIZE}-", "bytes=-0", "bytes=99999999-99999999"])
def test_a_range_outside_answers_416_and_tells_the_size(server: MediaServer, asked: str) -> None:
    answer = requests.get(server.media(), headers={"Range": asked}, timeout=10)
    assert answer.status_code == 416
    assert answer.headers["Content-Range"] == f"bytes */{SIZE}"
    assert str(SIZE) in answer.json()["detail"]


@pytest.mark.parametrize("asked", ["bytes=0-1,5-9", "bytes=9-5", "seconds=1-2", "bytes"])
def test_a_range_that_cannot_be_honoured_gets_the_whole(server: MediaServer, asked: str) -> None:
    answer = requests.get(server.media(), headers={"Range": asked}, timeout=10)
    assert answer.status_code == 200
    assert answer.content == CONTENT


def test_head_tells_the_same_and_sends_nothing(server: MediaServer) -> None:
    whole = requests.get(server.media(), timeout=10)
    head = requests.head(server.media(), headers={"Range": "bytes=0-1"}, timeout=10)
    assert head.status_code == 200  # Range is defined for GET only
    assert head.content == b""
    for name in ("Content-Length", "Content-Type", "ETag", "Last-Modified", "Accept-Ranges", "Cache-Control"):
        assert head.headers[name] == whole.headers[name]


def test_a_player_that_seeks_about_gets_the_file_it_would_have_read(server: MediaServer) -> None:
    chance = random.Random(7)
    offsets = list(range(0, SIZE, 65_536))
    chance.shuffle(offsets)
    pieces = {}
    with requests.Session() as player:
        etag = player.head(server.media(), timeout=10).headers["ETag"]
        for offset in offsets:
            asked = {"Range": f"bytes={offset}-{offset + 65_535}", "If-Range": etag}
            answer = player.get(server.media(), headers=asked, timeout=10)
            assert answer.status_code == 206
            pieces[offset] = answer.content
    assert b"".join(pieces[offset] for offset in sorted(pieces)) == CONTENT


def test_if_range_of_another_version_gets_the_whole(server: MediaServer) -> None:
    asked = {"Range": "bytes=5-9", "If-Range": '"another"'}
    answer = requests.get(server.media(), headers=asked, timeout=10)
    assert answer.status_code == 200
    assert len(answer.content) == SIZE


def test_what_a_browser_already_has_is_not_sent_again(server: MediaServer) -> None:
    first = requests.get(server.media(), timeout=10)
    for condition in (
        {"If-None-Match": first.headers["ETag"]},
        {"If-None-Match": "W/" + first.headers["ETag"]},
        {"If-Modified-Since": first.headers["Last-Modified"]},
    ):
        again = requests.get(server.media(), headers=condition, timeout=10)
        assert again.status_code == 304
        assert again.content == b""
        assert again.headers["ETag"] == first.headers["ETag"]
        assert again.headers["Cache-Control"] == first.headers["Cache-Control"]
    assert requests.get(server.media(), headers={"If-Match": '"x"'}, timeout=10).status_code == 412


@pytest.mark.parametrize(
    ("asked", "disposition"),
    [
        ("1", 'attachment; filename="video-1.mp4"'),
        ("my film.mp4", 'attachment; filename="my film.mp4"'),
        ("Zoë.mp4", "attachment; filename=\"Zoe.mp4\"; filename*=UTF-8''Zo%C3%AB.mp4"),
        ('a"\r\nSet-Cookie: b=c', 'attachment; filename="a\'__Set-Cookie: b=c"'),
    ],
)
def test_download_saves_under_a_name_and_no_name_breaks_the_header(
    server: MediaServer, asked: str, disposition: str
) -> None:
    answer = requests.get(server.media(), params={"download": asked}, timeout=10)
    assert answer.status_code == 200
    assert answer.headers["Content-Disposition"].startswith(disposition)
    assert "Set-Cookie" not in answer.headers


def test_a_page_that_could_run_scripts_is_only_ever_downloaded(server: MediaServer) -> None:
    answer = requests.get(server.media("page.html"), timeout=10)
    assert answer.headers["Content-Disposition"].startswith("attachment")
    assert "html" not in answer.headers["Content-Type"]


@pytest.mark.parametrize("key", ["page.html", *SCRIPTED])
def test_what_could_run_scripts_is_saved_not_opened_and_runs_none_if_it_is(server: MediaServer, key: str) -> None:
    for asked in ({}, {"Range": "bytes=0-9"}):
        answer = requests.get(server.media(key), headers=asked, timeout=10)
        assert answer.headers["Content-Disposition"].startswith("attachment")
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        policy = answer.headers["Content-Security-Policy"]
        assert "sandbox" in policy
        assert "default-src 'none'" in policy
        assert "allow-scripts" not in policy


def test_a_drawing_keeps_the_type_that_an_image_element_needs(server: MediaServer) -> None:
    assert requests.get(server.media("logo.svg"), timeout=10).headers["Content-Type"] == "image/svg+xml"
    assert "Content-Security-Policy" not in requests.get(server.media(), timeout=10).headers


def test_names_in_any_script_are_served_where_public_url_says(server: MediaServer) -> None:
    address = server.storage.public_url("ünï cödé/a+b & c#1.mp4")
    assert address.isascii()
    assert " " not in address
    assert requests.get(address, timeout=10).content == b"unicode"


def test_an_empty_file_is_served_and_has_no_ranges(server: MediaServer) -> None:
    assert requests.get(server.media("empty.mp4"), timeout=10).headers["Content-Length"] == "0"
    ranged = requests.get(server.media("empty.mp4"), headers={"Range": "bytes=0-"}, timeout=10)
    assert (ranged.status_code, ranged.headers["Content-Range"]) == (416, "bytes */0")


@pytest.mark.parametrize(
    "path",
    [
        "/media/../../../../../../etc/passwd",
        "/media/..%2f..%2f..%2f..%2fetc%2fpasswd",
        "/media/%2e%2e/%2e%2e/home/encryption.key",
        "/media//etc/passwd",
        "/media/%2fetc%2fpasswd",
        "/media/..%5c..%5cserver.log",
        "/media/ana/./video-1732000000000/video-1.mp4",
        "/media/.incoming/x.part",
        "/media/a%00b",
        "/media/%ff%fe",
        "/media/" + "a/" * 600 + "b",
        "/media/" + "a" * 300,
        "/media/",
        "/media/ana",
        "/media/ana/",
        f"/media/{KEY}/x",
        "/media/no/such/video.mp4",
    ],
)
def test_nothing_but_stored_objects_can_be_reached(server: MediaServer, path: str) -> None:
    status, body = raw(server, path)
    assert status == 404
    assert b"root:" not in body
    assert b'"detail"' in body


def test_a_missing_video_answers_404_with_a_sentence_and_is_not_cached(server: MediaServer) -> None:
    answer = requests.get(server.media("no/such.mp4"), timeout=10)
    assert answer.json() == {"detail": "There is no media under this address."}
    assert "no-store" in answer.headers["Cache-Control"]


def test_a_symbolic_link_out_of_the_store_is_not_followed(server: MediaServer, tmp_path: Path) -> None:
    secret = tmp_path / "secret.mp4"
    secret.write_bytes(b"secret")
    folder = Path(str(server.storage.folder))  # type: ignore[attr-defined]
    (folder / "linked.mp4").symlink_to(secret)
    (folder / "linked").symlink_to(tmp_path, target_is_directory=True)
    try:
        assert requests.get(server.media("linked.mp4"), timeout=10).status_code == 404
        assert requests.get(server.media("linked/secret.mp4"), timeout=10).status_code == 404
    finally:
        (folder / "linked.mp4").unlink()
        (folder / "linked").unlink()


def test_a_signed_address_works_and_is_never_cached(server: MediaServer) -> None:
    address = server.storage.signed_url(KEY, expires_in=60, download_name="mein film.mp4")
    answer = requests.get(address, headers={"Range": "bytes=0-9"}, timeout=10)
    assert answer.status_code == 206
    assert answer.content == CONTENT[:10]
    assert answer.headers["Cache-Control"] == "private, no-store"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="mein film.mp4"'


def test_a_signed_address_dies_on_time(server: MediaServer) -> None:
    address = server.storage.signed_url(KEY, expires_in=1)
    assert requests.get(address, timeout=10).status_code == 200
    deadline = time.monotonic() + 10
    while (answer := requests.get(address, timeout=10)).status_code == 200 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert answer.status_code == 403
    assert "expired" in answer.json()["detail"]
    assert answer.headers["Cache-Control"] == "private, no-store"


def test_a_signed_address_cannot_be_changed(server: MediaServer) -> None:
    good = server.storage.signed_url(KEY, expires_in=60)
    forged = sign_media_query(b"another key", KEY, expires_in=60)
    bad = [
        good.replace("video-1.mp4", "video-2.mp4"),
        re.sub(r"expires=\d+", "expires=9999999999", good),
        re.sub(r"expires=\d+", "expires=", good),
        good + "&download=x",
        good[:-1] + ("0" if good[-1] != "0" else "1"),
        re.sub(r"signature=.*", "signature=%ff%C3%BC", good),
        re.sub(r"&signature=.*", "", good),
        f"{server.media()}?{forged}",
    ]
    for address in bad:
        answer = requests.get(address, timeout=10)
        assert answer.status_code == 403, address
        assert "no-store" in answer.headers["Cache-Control"]


def test_no_signature_is_ever_in_the_log(server: MediaServer) -> None:
    address = server.storage.signed_url(KEY, expires_in=60)
    signature = address.rpartition("signature=")[2]
    requests.get(address, timeout=10)
    requests.get(address[:-1] + "x", timeout=10)
    deadline = time.monotonic() + 10
    while "403" not in server.log.read_text() and time.monotonic() < deadline:
        time.sleep(0.02)
    log = server.log.read_text()
    assert f"GET /media/{KEY}?…" in log
    assert signature[:-1] not in log
    assert "signature" not in log


def test_another_site_may_play_but_only_read(server: MediaServer) -> None:
    preflight = requests.options(server.media(), headers={"Origin": "https://a.example"}, timeout=10)
    assert preflight.status_code == 204
    assert "Range" in preflight.headers["Access-Control-Allow-Headers"]
    assert requests.post(server.media(), data=b"x", timeout=10).status_code == 405
    assert requests.delete(server.media(), timeout=10).status_code == 405


def test_health_tells_version_and_storage(server: MediaServer) -> None:
    answer = requests.get(f"{server.base}/healthz", timeout=10)
    assert answer.status_code == 200
    report = answer.json()
    assert report["status"] == "ok"
    assert report["storage"] == {"bucket": "generated-videos", "reachable": True}
    assert re.match(r"\d+\.", report["version"])


def test_the_signing_key_stays_the_same_over_restarts_and_is_private(server: MediaServer) -> None:
    settings = Settings(_env_file=None, home=server.log.parent)
    assert load_signing_key(settings) == load_signing_key(settings)
    assert (settings.home / "media-signing.key").stat().st_mode & 0o077 == 0
    shared = Settings(_env_file=None, home=server.log.parent, encryption_key="a" * 43 + "=")
    assert load_signing_key(shared) != load_signing_key(settings)


def test_a_store_that_is_away_is_a_503_and_not_a_traceback(tmp_path: Path) -> None:
    away = {
        "VIDEO_ASSETS_STORAGE": "s3",
        "VIDEO_ASSETS_S3_ENDPOINT_URL": "http://127.0.0.1:9",
        "VIDEO_ASSETS_S3_ACCESS_KEY_ID": "id",
        "VIDEO_ASSETS_S3_SECRET_ACCESS_KEY": "the-secret",
    }
    with running_media_server(tmp_path / "home", **away) as server:
        health = requests.get(f"{server.base}/healthz", timeout=30)
        assert (health.status_code, health.json()["status"]) == (503, "failing")
        media = requests.get(server.media(), timeout=30)
        assert media.status_code == 503
        assert media.headers["Retry-After"] == "5"
        log = server.log.read_text()
        assert "nothing answers there" in log
        assert "Traceback" not in log
        assert "the-secret" not in log


@pytest.mark.parametrize("content", ["", "not hexadecimal", "abcd"])
def test_a_damaged_signing_key_is_named_and_never_used(tmp_path: Path, content: str) -> None:
    (tmp_path / "media-signing.key").write_text(content)
    with pytest.raises(StorageFailed, match=r"media-signing\.key is damaged"):
        load_signing_key(Settings(_env_file=None, home=tmp_path))


def test_many_processes_that_start_at_once_agree_on_one_signing_key(tmp_path: Path) -> None:
    settings = Settings(_env_file=None, home=tmp_path / "home")
    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(lambda _: load_signing_key(settings), range(32)))
    assert len(keys) == 1
    assert [path.name for path in settings.home.iterdir()] == ["media-signing.key"]
