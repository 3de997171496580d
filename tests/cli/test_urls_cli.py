"""``video-assets urls``: the tables people see, the lines machines get, and the exit codes scripts trust."""

from __future__ import annotations

import functools
import http.server
import io
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import pytest

from tests.urls.documents_for_tests import CREDENTIAL, PERMANENT, TEMPORARY
from video_assets.cli.app import run
from video_assets.cli.urls import streams as url_streams
from video_assets.settings import get_settings
from video_assets.urls.find.find import find

SECRETS = ("AbC-_~aa%2Fbb", "hunter2hunter2")
MAIN = [sys.executable, "-c", "from video_assets.cli import main; main()", "urls"]


@dataclass
class Outcome:
    """What one command said."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[dict[str, Any]]:
        """The output as JSON lines."""
        return [json.loads(line) for line in self.out.splitlines()]


Urls = Callable[..., Outcome]


@pytest.fixture
def urls(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Urls:
    """Run ``video-assets urls`` with arguments and standard input."""

    def command(*arguments: str, stdin: str | bytes = b"") -> Outcome:
        data = stdin.encode() if isinstance(stdin, str) else stdin
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
        code = run(["urls", *arguments])
        captured = capsys.readouterr()
        return Outcome(int(code), captured.out, captured.err)

    return command


def test_classify_tells_people_the_kind_and_the_end_without_the_secret(urls: Urls) -> None:
    outcome = urls("classify", TEMPORARY, CREDENTIAL, PERMANENT)
    assert outcome.code == 1
    for word in ("cloudfront", "temporary", "credential_only", "permanent", "2100-01-01T00:00:00Z", "never"):
        assert word in outcome.out
    assert not any(secret in outcome.out for secret in SECRETS)


def test_classify_reads_urls_from_standard_input_so_that_no_shell_remembers_them(urls: Urls) -> None:
    for arguments in ([], ["-"]):
        outcome = urls("classify", "--json", *arguments, stdin=f"{PERMANENT}\n\n{TEMPORARY}\n")
        assert [answer["kind"] for answer in json.loads(outcome.out)] == ["permanent", "temporary"]
    assert urls("classify", PERMANENT).code == 0


def test_classify_answers_each_line_in_order_with_exactly_the_promised_fields(urls: Urls) -> None:
    lines = [
        {"id": 1, "url": TEMPORARY},
        {
            "id": "two",
            "url": "https://replicate.delivery/x/out.mp4",
            "created_at": "2026-11-20T10:00:00.75+01:00",
        },
        {"id": None, "url": PERMANENT},
        {"id": [4], "url": CREDENTIAL, "created_at": None},
    ]
    outcome = urls("classify", "--jsonl", stdin="".join(json.dumps(line) + "\n" for line in lines))
    assert outcome.code == 1
    answers = outcome.lines
    assert [answer["id"] for answer in answers] == [1, "two", None, [4]]
    promised = {"id", "kind", "scheme", "expires_at", "carries_jwt", "truncated", "redacted"}
    assert all(set(a) == promised for a in answers)
    assert [a["kind"] for a in answers] == ["temporary", "temporary", "permanent", "credential_only"]
    assert [a["expires_at"] for a in answers] == ["2100-01-01T00:00:00Z", "2026-11-20T10:00:00Z", None, None]
    assert answers[2]["redacted"] == PERMANENT
    assert not any(secret in outcome.out for secret in SECRETS)


@pytest.mark.parametrize(
    ("created_at", "expires_at"),
    [
        ("2026-11-21T10:00:00Z", "2026-11-21T11:00:00Z"),
        ("2026-11-21T12:00:00.999+02:00", "2026-11-21T11:00:00Z"),
        ("2026-11-21 10:00:00", "2026-11-21T11:00:00Z"),
        ("2026-11-21 10:00:00+00", "2026-11-21T11:00:00Z"),
        ("20261121T100000Z", "2026-11-21T11:00:00Z"),
        ("Sat, 21 Nov 2026 10:00:00 GMT", "2026-11-21T11:00:00Z"),
        (1795255200, "2026-11-21T11:00:00Z"),
        (1795255200.5, "2026-11-21T11:00:00Z"),
        (1795255200000, "2026-11-21T11:00:00Z"),
        ("1795255200", "2026-11-21T11:00:00Z"),
        ("1711112140000", "2024-03-22T13:55:40Z"),
        ("", None),
        (None, None),
    ],
)
def test_a_creation_time_is_read_as_databases_write_it(
    urls: Urls, created_at: object, expires_at: str | None
) -> None:
    line = {"id": 1, "url": "https://replicate.delivery/x/out.mp4", "created_at": created_at}
    outcome = urls("classify", "--jsonl", stdin=json.dumps(line) + "\n")
    assert [answer["expires_at"] for answer in outcome.lines] == [expires_at]


@pytest.mark.parametrize(
    ("line", "identity", "word"),
    [
        (b"not json", None, "not JSON"),
        (b"[1]", None, "not a JSON object"),
        (b'{"id": 7}', 7, '"url"'),
        (b'{"id": 7, "url": 5}', 7, '"url"'),
        (b'{"id": 7, "url": "https://a.example/", "created_at": "soon"}', 7, '"created_at"'),
        (b'{"id": 7, "url": "https://a.example/", "created_at": 1e300}', 7, '"created_at"'),
        (b"[" * 100_000, None, "not JSON"),
        (b'{"id": 7, "url": "\xff', None, "not JSON"),
    ],
)
def test_a_bad_line_is_named_in_its_place_and_the_rest_goes_on(
    urls: Urls, line: bytes, identity: object, word: str
) -> None:
    good = json.dumps({"id": "good", "url": PERMANENT}).encode()
    outcome = urls("classify", "--jsonl", stdin=b"\n".join([good, line, b"", good]))
    assert outcome.code == 2
    first, bad, last = outcome.lines
    assert first == last
    assert bad["id"] == identity
    assert bad["error"].startswith("Line 2 ")
    assert word in bad["error"]


def test_find_prints_whole_urls_for_machines_only(urls: Urls) -> None:
    line = json.dumps({"id": 9, "content": json.dumps({"v": [TEMPORARY.replace("&", "&amp;")]})})
    outcome = urls("find", "--jsonl", stdin=line + "\n" + json.dumps({"id": 10, "content": "none"}) + "\n")
    assert outcome.code == 1
    (found,) = outcome.lines[0]["findings"]
    assert found == {
        "url": TEMPORARY,
        "pointer": "/v/0",
        "kind": "temporary",
        "scheme": found["scheme"],
        "expires_at": "2100-01-01T00:00:00Z",
        "truncated": False,
    }
    assert outcome.lines[1] == {"id": 10, "findings": []}
    document = json.dumps({"v": [TEMPORARY, CREDENTIAL]})
    for arguments in ([], ["--json"]):
        shown = urls("find", *arguments, stdin=document)
        assert shown.code == 1
        assert "files.example.com" in shown.out
        assert "/v/1" in shown.out
        assert not any(secret in shown.out for secret in SECRETS)


def test_a_pointer_leads_through_inner_json_and_names_the_object_of_a_key(urls: Urls) -> None:
    content = json.dumps({"in": json.dumps({"k": TEMPORARY}), "keys": {CREDENTIAL: 1}})
    outcome = urls("find", "--jsonl", stdin=json.dumps({"id": 1, "content": content}))
    inner, key = outcome.lines[0]["findings"]
    assert (inner["url"], inner["pointer"]) == (TEMPORARY, "/in/k")
    assert (key["url"], key["pointer"]) == (CREDENTIAL, "/keys")
    assert set(inner) == set(key) == {"url", "pointer", "kind", "scheme", "expires_at", "truncated"}


def test_find_uses_the_content_type_and_the_time_of_a_line(urls: Urls) -> None:
    lines = [
        {"id": 1, "content": f"1,{CREDENTIAL},x", "content_type": "text/csv"},
        {"id": 2, "content": "https://replicate.delivery/x/out.mp4", "created_at": 1_700_000_000},
        {"id": 3, "content": "x", "content_type": 5},
        {"id": 4, "content": None},
    ]
    outcome = urls("find", "--jsonl", stdin="\n".join(map(json.dumps, lines)))
    assert outcome.code == 2
    csv, host, bad_type, bad_content = outcome.lines
    assert csv["findings"][0]["url"] == CREDENTIAL
    assert host["findings"][0]["expires_at"] == "2023-11-14T23:13:20Z"
    assert bad_type["id"] == 3
    assert "error" in bad_type
    assert bad_content["id"] == 4
    assert "error" in bad_content


def test_find_names_file_and_line(urls: Urls, tmp_path: Path) -> None:
    first, second = tmp_path / "a.txt", tmp_path / "b.html"
    first.write_text(f"one\ntwo {TEMPORARY}\n")
    second.write_text(f"<p>\n\n<a href='{CREDENTIAL}'>\n", encoding="utf-16")
    outcome = urls("find", "--json", str(first), str(second))
    assert [(place["file"], place["line"]) for place in json.loads(outcome.out)] == [
        (str(first), 2),
        (str(second), 3),
    ]
    assert f"{first}:2" in urls("find", str(first)).out


def test_find_with_nothing_to_find_ends_well(urls: Urls) -> None:
    assert urls("find", stdin=f"see {PERMANENT}").code == 0
    empty = urls("find", "--json", stdin="")
    assert (empty.code, json.loads(empty.out)) == (0, [])


@pytest.mark.parametrize(
    "arguments",
    [
        ["find", "/no/such/file"],
        ["find", "--json", "--jsonl"],
        ["classify", "--jsonl", "/no/such/file"],
        ["fetch", "https://a.example/x", "-o", "/no/such/folder/x.mp4"],
        ["find", "--nonsense"],
    ],
)
def test_bad_usage_is_one_sentence_and_code_2(urls: Urls, arguments: list[str]) -> None:
    outcome = urls(*arguments)
    assert outcome.code == 2
    assert outcome.out == ""
    assert outcome.err.startswith("error: ")
    assert len(outcome.err.strip().splitlines()) == 1


@pytest.mark.parametrize("newline", ["\n", " ", '","', "\r\n"])
def test_a_long_text_read_in_pieces_gives_the_same_findings(newline: str) -> None:
    pieces = [f"{TEMPORARY}&n={number}{'x' * (number % 37)}" for number in range(400)]
    text = newline.join(pieces)
    expected = [finding.url for finding in find(text)]
    for whole in (97, 1000, 4096, 10_001):
        found = list(url_streams.places(io.BytesIO(text.encode()), "-", whole=whole))
        assert [place.finding.url for place in found] == expected == pieces
        if newline == "\n":
            assert [place.line for place in found] == list(range(1, 401))


def test_urls_on_the_border_of_two_pieces_without_any_separator_are_neither_lost_nor_doubled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(url_streams, "_OVERLAP", 300)
    pieces = [f"{TEMPORARY}&n={number}{'x' * (number % 37)}" for number in range(200)]
    for whole in (301, 400, 977, 5000):
        found = url_streams.places(io.BytesIO(",".join(pieces).encode()), "-", whole=whole)
        assert [place.finding.url for place in found] == pieces


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-be", "utf-8-sig"])
def test_pieces_of_any_encoding_are_read(encoding: str) -> None:
    text = "".join(f"é𝄞 {number} {TEMPORARY}&n={number}\n" for number in range(300))
    found = url_streams.places(io.BytesIO(text.encode(encoding)), "-", whole=1000)
    assert [place.line for place in found] == list(range(1, 301))


def test_it_works_as_a_coprocess_that_answers_before_the_next_question() -> None:
    with subprocess.Popen(
        [*MAIN, "classify", "--jsonl"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for number in range(3):
            process.stdin.write(json.dumps({"id": number, "url": TEMPORARY}).encode() + b"\n")
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["id"] == number
        process.stdin.close()
        assert process.wait() == 1


def test_memory_stays_steady_over_a_long_stream() -> None:
    # The limit is far below the stream's size; a process that kept what it read would be stopped.
    program = (
        "import resource, sys\n"
        "from video_assets.cli import app, main\n"
        "from video_assets.cli.urls import streams\n"
        "streams.places.__kwdefaults__['whole'] = 1_000_000\n"
        "used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (used + 60_000_000,) * 2)\n"
        "sys.argv = ['video-assets', 'urls', 'find', '--json']; main()"
    )
    line = f"{'words and more words ' * 4000}{TEMPORARY}\n".encode()
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        feeder = threading.Thread(target=_feed, args=(process.stdin, line, 1500))
        feeder.start()
        found = sum(b'"line"' in answer for answer in process.stdout)
        feeder.join()
        assert process.stderr is not None
        assert process.stderr.read() == b""
    assert (process.returncode, found) == (1, 1500)


def _feed(stream: Any, line: bytes, times: int) -> None:
    try:
        for _ in range(times):
            stream.write(line)
        stream.close()
    except BrokenPipeError:
        pass


def test_a_reader_that_leaves_early_is_no_error() -> None:
    command = " ".join(f"'{word}'" for word in [*MAIN, "find", "--json"])
    text = "".join(f"{TEMPORARY}&n={number}\n" for number in range(20_000))
    done = subprocess.run(
        ["sh", "-c", f"{command} | head -n 1"], input=text.encode(), capture_output=True, check=False
    )
    assert done.stdout == b"[\n"
    assert done.stderr == b""


@pytest.fixture
def video_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a server of one real video, ``clip.mp4``, that the settings allow."""
    folder = tmp_path / "served"
    folder.mkdir()
    with av.open(str(folder / "clip.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=24)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for _ in range(24):
            container.mux(stream.encode(av.VideoFrame(64, 64, "rgb24")))
        container.mux(stream.encode())
    (folder / "page.mp4").write_text("<!doctype html><title>Sign in</title>")

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    host = f"127.0.0.1:{server.server_address[1]}"
    monkeypatch.setenv("VIDEO_ASSETS_ALLOWED_HOSTS", host)
    get_settings.cache_clear()
    yield f"http://{host}"
    get_settings.cache_clear()
    server.shutdown()
    thread.join()
    server.server_close()


def test_fetch_saves_a_verified_file_and_reports_it(urls: Urls, video_server: str, tmp_path: Path) -> None:
    target = tmp_path / "clip.mp4"
    outcome = urls("fetch", f"{video_server}/clip.mp4", "-o", str(target))
    assert outcome.code == 0, outcome.err
    assert target.read_bytes() == (tmp_path / "served" / "clip.mp4").read_bytes()
    assert "video/mp4" in outcome.out
    assert "sha256" in outcome.out
    report = urls("fetch", "-", "-o", str(target), "--json", stdin=f"{video_server}/clip.mp4?token=abc\n")
    assert json.loads(report.out)["size"] == target.stat().st_size


def test_fetch_leaves_nothing_behind_when_it_fails(urls: Urls, video_server: str, tmp_path: Path) -> None:
    target = tmp_path / "out" / "clip.mp4"
    target.parent.mkdir()
    for url, word in (
        (f"{video_server}/page.mp4?token=supersecretvalue", "web page"),
        (f"{video_server}/none.mp4", "no such file"),
        ("http://169.254.169.254/latest/meta-data", "must not be fetched"),
    ):
        outcome = urls("fetch", url, "-o", str(target))
        assert outcome.code == 1
        assert word in outcome.err
        assert "supersecretvalue" not in outcome.err + outcome.out
        assert list(target.parent.iterdir()) == []
        failed = urls("fetch", url, "-o", str(target), "--json")
        assert json.loads(failed.out)["fetched"] is False


def test_fetch_tells_a_network_without_names_from_a_source_that_refuses(
    urls: Urls, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_answer(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", no_answer)
    outcome = urls("fetch", "https://cdn.example.com/a.mp4", "-o", str(tmp_path / "a.mp4"))
    assert (outcome.code, "dns_failed" in outcome.err) == (3, True)


def test_fetch_without_a_url_says_so(urls: Urls, tmp_path: Path) -> None:
    assert urls("fetch", "-", "-o", str(tmp_path / "x.mp4"), stdin="\n").code == 2


@pytest.mark.parametrize("command", ["classify", "find", "fetch"])
def test_help_shows_examples(urls: Urls, command: str) -> None:
    outcome = urls(command, "--help")
    assert outcome.code == 0
    assert "Examples:" in outcome.out
    assert f"video-assets urls {command}" in outcome.out
