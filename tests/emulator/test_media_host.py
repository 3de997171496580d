"""Links that die, bytes that break: what the media host does, seen by plain HTTP clients."""

from __future__ import annotations

import hashlib
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import boto3
import httpx
import pytest
from botocore.config import Config

from video_assets.emulator import Emulator
from video_assets.emulator.links import LinkOffice, Scheme, Verdict
from video_assets.media.probe import play, probe

from .conftest import until

HEADERS = {"X-Runway-Version": "2024-11-06"}


class Api:
    """Just enough of both APIs, without any SDK."""

    def __init__(self, emulator: Emulator) -> None:
        self.emulator = emulator
        self.client = httpx.Client()

    def runway(self, directives: str = "", **more: Any) -> str:
        body = {
            "model": "gen4.5",
            "promptText": f"x [emulator: {directives}]",
            "ratio": "1280:720",
            "duration": 5,
        }
        headers = HEADERS | {"Authorization": f"Bearer {self.emulator.runway_key}"}
        address = f"{self.emulator.runway_base_url}/v1/text_to_video"
        return str(self.client.post(address, json=body | more, headers=headers).raise_for_status().json()["id"])

    def luma(self, directives: str = "") -> str:
        body = {"model": "ray-2", "prompt": f"x [emulator: {directives}]"}
        headers = {"Authorization": f"Bearer {self.emulator.luma_key}"}
        address = f"{self.emulator.luma_base_url}/generations"
        return str(self.client.post(address, json=body, headers=headers).raise_for_status().json()["id"])

    def task(self, task_id: str) -> httpx.Response:
        headers = HEADERS | {"Authorization": f"Bearer {self.emulator.runway_key}"}
        return self.client.get(f"{self.emulator.runway_base_url}/v1/tasks/{task_id}", headers=headers)

    def output(self, task_id: str) -> str:
        done = until(lambda: self.task(task_id).json(), lambda task: task["status"] == "SUCCEEDED")
        return str(done["output"][0])

    def assets(self, generation_id: str) -> dict[str, str]:
        headers = {"Authorization": f"Bearer {self.emulator.luma_key}"}
        address = f"{self.emulator.luma_base_url}/generations/{generation_id}"
        done = until(
            lambda: self.client.get(address, headers=headers).json(), lambda g: g["state"] == "completed"
        )
        return dict(done["assets"])


@pytest.fixture
def api(emulator: Emulator) -> Iterator[Api]:
    made = Api(emulator)
    yield made
    made.client.close()


def test_the_bytes_are_a_real_moving_video_with_a_true_etag(api: Api, tmp_path: Path) -> None:
    answer = api.client.get(api.output(api.runway("seconds=1")))
    path = tmp_path / "v"
    path.write_bytes(answer.content)
    facts = probe(path)
    assert (facts.video_codec, facts.width, facts.height, facts.fps) == ("h264", 1280, 720, 24)
    assert play(path) == 24
    assert int(answer.headers["content-length"]) == len(answer.content)
    assert answer.headers["etag"] == f'"{hashlib.md5(answer.content, usedforsecurity=False).hexdigest()}"'


@pytest.mark.parametrize("directive", ["size=300000", "size=300000, moov_at_end"])
def test_a_padded_video_has_exactly_the_size_asked_for_and_plays(
    api: Api, tmp_path: Path, directive: str
) -> None:
    bodies = [api.client.get(api.output(api.runway(directive))).content for _ in range(2)]
    assert [len(body) for body in bodies] == [300_000, 300_000]
    assert bodies[0] != bodies[1]
    (tmp_path / "v").write_bytes(bodies[0])
    assert play(tmp_path / "v") == 12
    assert (bodies[0].index(b"moov") > bodies[0].index(b"mdat")) is ("moov_at_end" in directive)


def test_the_ratio_of_the_request_is_the_shape_of_the_video(api: Api, tmp_path: Path) -> None:
    (tmp_path / "v").write_bytes(api.client.get(api.output(api.runway("", ratio="720:1280"))).content)
    facts = probe(tmp_path / "v")
    assert (facts.width, facts.height) == (720, 1280)


def test_ranges_and_heads_are_answered_exactly(api: Api) -> None:
    url = api.output(api.runway())
    whole = api.client.get(url)
    size = len(whole.content)
    head = api.client.head(url)
    assert (head.status_code, head.headers["content-length"], head.content) == (200, str(size), b"")
    for wanted, first, last in [
        ("0-0", 0, 0),
        ("5-9", 5, 9),
        ("-4", size - 4, size - 1),
        (f"{size - 3}-", size - 3, size - 1),
    ]:
        part = api.client.get(url, headers={"Range": f"bytes={wanted}"})
        assert part.status_code == 206
        assert part.headers["content-range"] == f"bytes {first}-{last}/{size}"
        assert part.content == whole.content[first : last + 1]
    beyond = api.client.get(url, headers={"Range": f"bytes={size}-"})
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, f"bytes */{size}")
    same = api.client.get(url, headers={"Range": "bytes=1-", "If-Range": whole.headers["etag"]})
    other = api.client.get(url, headers={"Range": "bytes=1-", "If-Range": '"other"'})
    assert (same.status_code, other.status_code) == (206, 200)


def test_one_connection_serves_many_requests(api: Api) -> None:
    url = urlsplit(api.output(api.runway()))
    with socket.create_connection((url.hostname or "", url.port or 0), timeout=10) as connection:
        request = (
            f"GET {url.path}?{url.query} HTTP/1.1\r\nHost: {url.netloc}\r\nRange: bytes=0-3\r\n\r\n".encode()
        )
        for _ in range(3):
            connection.sendall(request)
            received = b""
            while not received.endswith(b"\r\n\r\n" + received[-4:]) or b"\r\n\r\n" not in received:
                received += connection.recv(4096)
            assert received.startswith(b"HTTP/1.1 206")


def test_many_clients_at_once_get_whole_files(api: Api) -> None:
    urls = [api.output(api.runway("size=2000000")) for _ in range(4)] * 4
    with ThreadPoolExecutor(8) as pool:
        sizes = list(pool.map(lambda url: len(httpx.get(url, timeout=60).content), urls))
    assert sizes == [2_000_000] * 16


def test_a_jwt_link_dies_at_its_exp_and_a_fresh_one_lives(api: Api) -> None:
    task_id = api.runway("link_ttl=2")
    old = api.output(task_id)
    assert api.client.get(old).status_code == 200
    dead = until(lambda: api.client.get(old), lambda answer: answer.status_code != 200)
    assert dead.status_code == 401
    assert dead.content
    assert api.client.get(api.output(task_id)).status_code == 200


def test_a_signed_thumbnail_dies_like_an_s3_link(api: Api) -> None:
    generation_id = api.luma("link_ttl=2")
    old = api.assets(generation_id)["image"]
    signed = parse_qs(urlsplit(old).query)
    assert signed["X-Amz-Algorithm"] == ["AWS4-HMAC-SHA256"]
    assert 1 <= int(signed["X-Amz-Expires"][0]) <= 3
    assert api.client.get(old).status_code == 200
    dead = until(lambda: api.client.get(old), lambda answer: answer.status_code != 200)
    assert (dead.status_code, dead.headers["content-type"]) == (403, "application/xml")
    assert "<Code>AccessDenied</Code><Message>Request has expired</Message>" in dead.text
    assert api.client.get(api.assets(generation_id)["image"]).status_code == 200


def test_an_s3_link_is_signed_for_get_alone_and_refuses_a_second_credential(api: Api, emulator: Emulator) -> None:
    link = api.assets(api.luma())["video"]
    assert api.client.head(link).status_code == 403
    twice = api.client.get(link, headers={"Authorization": "Bearer provider-key"})
    assert twice.status_code == 400
    assert emulator.media_requests_with_key == 1


def test_a_changed_link_is_refused(api: Api) -> None:
    jwt_link, s3_link = api.output(api.runway()), api.assets(api.luma())["video"]
    swapped = jwt_link[:-3] + ("AAA" if not jwt_link.endswith("AAA") else "BBB")
    assert api.client.get(swapped).status_code == 401
    assert api.client.get(jwt_link.partition("?")[0]).status_code == 401
    other = api.output(api.runway())
    assert api.client.get(f"{other.partition('?')[0]}?{jwt_link.partition('?')[2]}").status_code == 401
    longer = s3_link.replace("X-Amz-Expires=86400", "X-Amz-Expires=604800")
    assert longer != s3_link
    assert "SignatureDoesNotMatch" in api.client.get(longer).text


def test_the_s3_signature_is_the_one_boto3_would_make() -> None:
    office = LinkOffice()
    link = office.issue(Scheme.S3, "/bucket/a/b.mp4", "job", "s3.example.com:9000", ttl=600)
    signed = parse_qs(link.query)
    client = boto3.client(
        "s3",
        endpoint_url="http://s3.example.com:9000",
        aws_access_key_id="AKIAEMULATOR00000000",
        aws_secret_access_key=office._s3_key,
        region_name="us-east-1",
        config=Config(signature_version="s3v4", s3={"addressing_style": "path"}),
    )
    lifetime = int(signed["X-Amz-Expires"][0])
    for _ in range(3):  # the signature holds the second in which it was made
        theirs = client.generate_presigned_url("get_object", {"Bucket": "bucket", "Key": "a/b.mp4"}, lifetime)
        made = parse_qs(urlsplit(theirs).query)
        again = office.issue(Scheme.S3, "/bucket/a/b.mp4", "job", "s3.example.com:9000", ttl=lifetime - 1)
        ours = parse_qs(again.query)
        if (made["X-Amz-Date"], made["X-Amz-Expires"]) == (ours["X-Amz-Date"], ours["X-Amz-Expires"]):
            assert made == ours
            return
    pytest.fail("three tries and never within one second")


def test_a_link_is_judged_by_signature_before_time() -> None:
    office = LinkOffice()
    for scheme in Scheme:
        link = office.issue(scheme, "/media/x.mp4", "job", "h", ttl=None, dead=True)
        assert office.judge("GET", "/media/x.mp4", link.query, "h")[0] is Verdict.EXPIRED
        assert office.judge("GET", "/media/y.mp4", link.query, "h")[0] is Verdict.FORGED


def test_a_link_can_be_dead_at_first_and_alive_when_asked_again(api: Api) -> None:
    task_id = api.runway("dead_links=1")
    assert api.client.get(api.output(task_id)).status_code == 401
    assert api.client.get(api.output(task_id)).status_code == 200


def test_a_dead_link_can_stay_the_same_for_ever(api: Api) -> None:
    task_id = api.runway("dead_links=1, refresh=same")
    first, second = api.output(task_id), api.output(task_id)
    assert first == second
    assert api.client.get(first).status_code == 401


def test_a_finished_task_can_be_gone_when_asked_again(api: Api) -> None:
    task_id = api.runway("dead_links=1, refresh=gone")
    assert api.client.get(api.output(task_id)).status_code == 401
    assert api.task(task_id).status_code == 404


def test_killing_links_spares_the_ones_asked_for_afterwards(api: Api, emulator: Emulator) -> None:
    task_id = api.runway()
    old = api.output(task_id)
    assert emulator.kill_links(task_id) == 1
    assert api.client.get(old).status_code == 401
    fresh = api.output(task_id)
    assert fresh != old
    assert api.client.get(fresh).status_code == 200
    assert emulator.kill_links(task_id) == 1


def test_the_first_downloads_are_cut_short(api: Api, emulator: Emulator) -> None:
    task_id = api.runway("truncate_first=2")
    url = api.output(task_id)
    for _ in range(2):
        with pytest.raises(httpx.RemoteProtocolError, match="without sending complete"):
            api.client.get(url)
    assert api.client.get(url).status_code == 200
    assert emulator.downloads(task_id) == 3
    assert [link.downloads for link in emulator.links(task_id)] == [3]


def test_a_download_can_be_reset(api: Api) -> None:
    url = api.output(api.runway("reset_first=1, size=3000000"))
    with pytest.raises(httpx.ReadError):
        api.client.get(url)
    assert len(api.client.get(url).content) == 3_000_000


def test_faults_come_one_after_the_other(api: Api) -> None:
    url = api.output(api.runway("error_first=1, error_status=429, retry_after=3, wrong_type_first=1"))
    busy, page, good = (api.client.get(url) for _ in range(3))
    assert (busy.status_code, busy.headers["retry-after"]) == (429, "3")
    assert (page.status_code, page.headers["content-type"], page.content[:9]) == (200, "video/mp4", b"<!doctype")
    assert good.content[4:8] == b"ftyp"


def test_a_file_can_be_gone_although_its_link_is_fresh(api: Api) -> None:
    answer = api.client.get(api.output(api.runway("missing")))
    assert answer.status_code == 404
    assert "NoSuchKey" in answer.text


def test_a_slow_download_takes_its_time(api: Api) -> None:
    url = api.output(api.runway("size=100000, bytes_per_second=200000"))
    started = time.monotonic()
    assert len(api.client.get(url).content) == 100_000
    assert time.monotonic() - started > 0.3  # half a second of drip; a floor, never a ceiling


def test_thumbnails_are_spared_by_the_faults_of_the_video(api: Api) -> None:
    assets = api.assets(api.luma("truncate_first=9, error_first=9"))
    assert api.client.get(assets["image"]).status_code == 200
    assert api.client.get(assets["video"]).status_code == 503


def test_every_secret_that_was_handed_out_is_listed(api: Api, emulator: Emulator) -> None:
    token = parse_qs(urlsplit(api.output(api.runway())).query)["_jwt"][0]
    signatures = {parse_qs(urlsplit(u).query)["X-Amz-Signature"][0] for u in api.assets(api.luma()).values() if u}
    assert {token, *signatures, emulator.runway_key, emulator.luma_key} <= set(emulator.issued_secrets())
    assert len(signatures) == 2
