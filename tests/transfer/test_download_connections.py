"""Where the bytes really go: pinned addresses, names kept, nothing of the environment, no credential abroad."""

from __future__ import annotations

import errno
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.transfer.scripted import script
from video_assets.emulator.faults.server import FaultServer
from video_assets.reasons import Reason
from video_assets.transfer.download.downloader import Downloader, DownloadFailed, DownloadPolicy
from video_assets.transfer.download.host_throttle import HostThrottle
from video_assets.transfer.failures import Fault


def _downloader(
    *hosts: str,
    resolve: Callable[[str], list[str]] | None = None,
    context: ssl.SSLContext | None = None,
    **limits: object,
) -> Downloader:
    policy = DownloadPolicy(
        allowed_hosts=hosts,
        **{"first_wait": 0.0, "attempts": 2, "connect_timeout": 2.0, "idle_timeout": 2.0, **limits},  # type: ignore[arg-type]
    )
    return Downloader(policy, resolve or (lambda _host: ["127.0.0.1"]), context=context, gate=HostThrottle())


def test_a_name_that_turns_private_after_the_check_is_never_dialled(source: FaultServer, spool: Path) -> None:
    """DNS rebinding: public when asked first, the own machine when asked again."""
    answers = iter([["192.0.2.77"], ["127.0.0.1"], ["127.0.0.1"]])
    name = f"rebind.example.com:{source.port}"
    downloader = _downloader(name, resolve=lambda _host: next(answers), connect_timeout=0.2, attempts=1)
    with pytest.raises(DownloadFailed) as caught:
        downloader.fetch(f"http://{name}/fault/ok", spool)
    assert caught.value.fault in (Fault.CONNECT, Fault.NO_ROUTE), "as this machine's network has it"
    assert source.requests == []

    strict = Downloader(
        DownloadPolicy(allowed_ports=(source.port,), attempts=1), lambda _host: ["127.0.0.1"], gate=HostThrottle()
    )
    with pytest.raises(DownloadFailed) as caught:
        strict.fetch(f"http://{name}/fault/ok", spool)
    assert (caught.value.fault, caught.value.reason) == (Fault.ADDRESS_REFUSED, Reason.UNSAFE_ADDRESS)
    assert source.requests == []


def test_every_hop_is_judged_again(source: FaultServer, spool: Path) -> None:
    asked: list[str] = []

    def resolve(host: str) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"]

    first, second = f"one.example.com:{source.port}", f"two.example.com:{source.port}"
    downloader = _downloader(first, second, resolve=resolve)
    target = f"http://{second}/fault/ok"
    download = downloader.fetch(f"http://{first}/fault/redirect?to={target}", spool)
    assert asked == ["one.example.com", "two.example.com"]
    assert download.hops == (f"http://{first}", f"http://{second}")


NO_SUCH_NAME = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
NO_ANSWER = socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")


@pytest.mark.parametrize(
    ("answer", "fault", "reason"),
    [
        (NO_ANSWER, Fault.DNS, Reason.DNS_FAILED),
        (OSError("no route to the DNS server"), Fault.DNS, Reason.DNS_FAILED),
        (NO_SUCH_NAME, Fault.UNKNOWN_HOST, Reason.HOST_UNKNOWN),
        (UnicodeError("label too long"), Fault.UNKNOWN_HOST, Reason.HOST_UNKNOWN),
        ([], Fault.UNKNOWN_HOST, Reason.HOST_UNKNOWN),
        (["198.18.0.84"], Fault.SYNTHETIC_ADDRESS, Reason.DNS_FAILED),
        (["64:ff9b::808:808", "8.8.8.8"], Fault.SYNTHETIC_ADDRESS, Reason.DNS_FAILED),
        (["0.0.0.0"], Fault.SYNTHETIC_ADDRESS, Reason.DNS_FAILED),
        (["::"], Fault.SYNTHETIC_ADDRESS, Reason.DNS_FAILED),
        (["240.0.3.7"], Fault.SYNTHETIC_ADDRESS, Reason.DNS_FAILED),
        (["10.0.0.1"], Fault.ADDRESS_REFUSED, Reason.UNSAFE_ADDRESS),
        (["127.0.0.1"], Fault.ADDRESS_REFUSED, Reason.UNSAFE_ADDRESS),
    ],
    ids=str,
)
def test_what_the_dns_of_this_machine_answers_is_no_fault_of_the_source(
    answer: list[str] | Exception, fault: Fault, reason: Reason, spool: Path
) -> None:
    def resolve(_host: str) -> list[str]:
        if isinstance(answer, Exception):
            raise answer
        return answer

    with pytest.raises(DownloadFailed) as caught:
        _downloader(resolve=resolve).fetch("https://cdn.example.com/a.mp4", spool)
    assert (caught.value.fault, caught.value.reason) == (fault, reason)
    assert not caught.value.certain


def test_an_address_that_stands_in_the_link_itself_is_the_links_fault(spool: Path) -> None:
    with pytest.raises(DownloadFailed) as caught:
        _downloader().fetch("https://198.18.0.84/a.mp4", spool)
    assert caught.value.reason is Reason.UNSAFE_ADDRESS


def test_a_machine_without_a_way_out_is_not_a_slow_source(spool: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_way(self: socket.socket, address: object) -> None:
        raise OSError(errno.ENETUNREACH, "Network is unreachable")

    monkeypatch.setattr(socket.socket, "connect", no_way)
    with pytest.raises(DownloadFailed) as caught:
        _downloader(resolve=lambda _host: ["8.8.8.8", "2001:4860:4860::8888"]).fetch(
            "https://cdn.example.com/a.mp4", spool
        )
    assert (caught.value.fault, caught.value.reason) == (Fault.NO_ROUTE, Reason.NETWORK_FAILED)


def test_an_address_family_without_a_way_does_not_speak_for_the_source(
    spool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def only_v4(self: socket.socket, address: tuple[str, int]) -> None:
        if ":" in address[0]:
            raise OSError(errno.ENETUNREACH, "Network is unreachable")
        raise ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")

    monkeypatch.setattr(socket.socket, "connect", only_v4)
    with pytest.raises(DownloadFailed) as caught:
        _downloader(resolve=lambda _host: ["8.8.8.8", "2001:4860:4860::8888"], attempts=1).fetch(
            "https://cdn.example.com/a.mp4", spool
        )
    assert (caught.value.fault, caught.value.reason) == (Fault.CONNECT, Reason.SOURCE_SLOW)


def test_proxies_and_credentials_of_the_environment_are_ignored(
    source: FaultServer, spool: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    _downloader(source.netloc).fetch(source.url("ok"), spool)
    assert "authorization" not in source.requests[0].headers
    assert not source.requests[0].target.startswith("http")


CREDENTIAL = {"Authorization": "Bearer sk-never-abroad", "X-Api-Key": "never-abroad"}


def test_a_provider_credential_never_leaves_its_host(source: FaultServer, video: bytes, spool: Path) -> None:
    with FaultServer(video) as other:
        back = source.url("ok", id="back")
        away = other.url("redirect", to=back)
        downloader = _downloader(source.netloc, other.netloc)
        downloader.fetch(source.url("redirect", to=away), spool, headers=CREDENTIAL)
    here, there = source.requests, other.requests
    assert here[0].headers["authorization"] == CREDENTIAL["Authorization"]
    for request in (there[0], here[1]):  # also not on the way back: the other host chose that address
        assert "never-abroad" not in str(request.headers)
        assert "cookie" not in request.headers
        assert "referer" not in request.headers


def test_a_credential_stays_on_redirects_within_its_origin(source: FaultServer, spool: Path) -> None:
    _downloader(source.netloc).fetch(source.url("redirect", hops=3), spool, headers=CREDENTIAL)
    assert [request.headers.get("x-api-key") for request in source.requests] == ["never-abroad"] * 4
    assert all("cookie" not in request.headers for request in source.requests)


@pytest.mark.parametrize(
    "headers", [{"Host": "x"}, {"Range": "bytes=0-"}, {"A b": "x"}, {"X": "a\r\nB: c"}, {"": "x"}, {"X": "ü"}]
)
def test_headers_that_would_break_the_request_are_refused(headers: dict[str, str], spool: Path) -> None:
    with pytest.raises(ValueError, match="header"):
        _downloader().fetch("https://cdn.example.com/", spool, headers=headers)


NASTY_TARGETS = [
    "/a%2Fb%3Ac%40d%2E%2e/e.mp4?X-Amz-Credential=AK%2F20260105%2Fus-east-1&sig=a%2Bb%3D%3D&x=a+b&y=%7e~",
    "/p/st=1~exp=2~acl=/*~hmac=ab!/v.mp4",
    "/a//b/./c/../d;x=1;y/e.mp4?",
    "/edge-cache-token=Expires=1&KeyName=k&Signature=a-b_c=/v.mp4?a&b=&&c==",
    "/v.mp4?q-sign-time=1;2&sig='(1)*!$,@:/?[]{}|^`\"<>",
    "/%E6%97%A5%e6%9c%ac.mp4?u=http%3A%2F%2Fx%2F%3Fa%3Db",
]


def test_a_blank_in_a_link_is_sent_as_a_browser_sends_it(source: FaultServer, spool: Path) -> None:
    link = f"http://{source.netloc}/my file 2.mp4?token=abc&download=my file.mp4"
    _downloader(source.netloc).fetch(link, spool)
    assert source.requests[0].target == "/my%20file%202.mp4?token=abc&download=my%20file.mp4"


@pytest.mark.parametrize("target", NASTY_TARGETS)
def test_a_signed_link_is_sent_byte_for_byte(target: str, source: FaultServer, spool: Path) -> None:
    _downloader(source.netloc).fetch(f"http://{source.netloc}{target}#fragment", spool)
    assert source.requests[0].target == target


@pytest.mark.parametrize("target", NASTY_TARGETS)
def test_a_redirect_target_is_sent_byte_for_byte(target: str, video: bytes, spool: Path) -> None:
    class Redirecting(FaultServer):
        def answer(self, exchange: object) -> None:
            if exchange.request.path == "/start":  # type: ignore[attr-defined]
                exchange.whole(b"", 302, Location=target)  # type: ignore[attr-defined]
            else:
                exchange.whole()  # type: ignore[attr-defined]

    with Redirecting(video) as server:
        _downloader(server.netloc).fetch(f"http://{server.netloc}/start", spool)
        assert server.requests[1].target == target


def test_other_headers_are_tried_once_when_the_first_are_refused(source: FaultServer, spool: Path) -> None:
    download = _downloader(source.netloc, attempts=4).fetch(source.url("only_browsers"), spool)
    agents = [request.headers["user-agent"] for request in source.requests]
    assert download.attempts == len(agents) == 2
    assert agents[0] != agents[1]
    assert all("video-assets/" in agent for agent in agents)
    assert all(request.headers["accept-encoding"] == "identity" for request in source.requests)


def test_a_refusal_is_not_asked_a_third_time(source: FaultServer, spool: Path) -> None:
    with pytest.raises(DownloadFailed) as caught:
        _downloader(source.netloc, attempts=5).fetch(source.url("s3_access_denied"), spool)
    assert caught.value.evidence["server_code"] == "AccessDenied"
    assert len(source.requests) == 2


def test_a_downloader_serves_many_threads_over_few_connections(
    source: FaultServer, video: bytes, spool: Path
) -> None:
    downloader = _downloader(source.netloc)
    with ThreadPoolExecutor(8) as threads:
        downloads = list(threads.map(lambda n: downloader.fetch(source.url("ok", n=n), spool), range(40)))
    assert len({download.path for download in downloads}) == 40
    assert {download.sha256 for download in downloads} == {downloads[0].sha256}
    assert all(download.path.read_bytes() == video for download in downloads)


def test_a_kept_connection_that_died_is_replaced_without_a_word(source: FaultServer, spool: Path) -> None:
    downloader = _downloader(source.netloc, attempts=1)
    downloader.fetch(source.url("ok"), spool)
    downloader.fetch(source.url("reset_at_once", times=0), spool)
    with pytest.raises(DownloadFailed):
        downloader.fetch(source.url("reset_at_once"), spool)
    downloader.fetch(source.url("ok"), spool)


def test_progress_and_cancellation(source: FaultServer, video: bytes, spool: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    downloader = _downloader(source.netloc)
    downloader.fetch(source.url("ok"), spool, on_progress=lambda size, total: seen.append((size, total)))
    assert seen[-1] == (len(video), len(video))
    for path in spool.iterdir():
        path.unlink()

    stop = threading.Event()
    threading.Timer(0.2, stop.set).start()
    with pytest.raises(DownloadFailed) as caught:
        _downloader(source.netloc, idle_timeout=20.0).fetch(source.url("stall"), spool, cancelled=stop.is_set)
    assert caught.value.fault is Fault.CANCELLED
    assert list(spool.iterdir()) == []


def test_a_deadline_ends_the_fetch(source: FaultServer, spool: Path) -> None:
    downloader = _downloader(source.netloc, min_bytes_per_second=0)
    with pytest.raises(DownloadFailed) as caught:
        downloader.fetch(source.url("drip"), spool, deadline=datetime.now(UTC) + timedelta(seconds=0.4))
    assert caught.value.fault is Fault.DEADLINE
    with pytest.raises(ValueError, match="timezone"):
        downloader.fetch(source.url("ok"), spool, deadline=datetime(2026, 1, 1))  # noqa: DTZ001


def test_a_spool_that_cannot_be_written_is_our_fault(source: FaultServer, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_bytes(b"")
    with pytest.raises(DownloadFailed) as caught:
        _downloader(source.netloc).fetch(source.url("ok"), blocked / "spool")
    assert (caught.value.fault, caught.value.reason) == (Fault.SPOOL, Reason.DISK_FAILED)
    assert str(tmp_path) not in str(caught.value)


# TLS, with a certificate authority of our own.


@dataclass(frozen=True)
class Authority:
    """A certificate authority and what it issued."""

    ca: Path
    server: Path


def _certificate(
    name: str,
    issuer: str,
    key: ec.EllipticCurvePrivateKey,
    signer: ec.EllipticCurvePrivateKey,
    *names: x509.GeneralName,
) -> x509.Certificate:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=not names, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName(names or [x509.DNSName("ca.example.com")]), critical=False)
        .sign(signer, hashes.SHA256())
    )


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """A CA file for the client and a key with certificate for ``good.example.com`` and 127.0.0.1."""
    folder = tmp_path_factory.mktemp("tls")
    root, leaf = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca = _certificate("test ca", "test ca", root, root)
    names = (x509.DNSName("good.example.com"), x509.IPAddress(ip_address("127.0.0.1")))
    server = _certificate("good.example.com", "test ca", leaf, root, *names)
    pem = serialization.Encoding.PEM
    (folder / "ca.pem").write_bytes(ca.public_bytes(pem))
    key = leaf.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "server.pem").write_bytes(key + server.public_bytes(pem))
    return Authority(folder / "ca.pem", folder / "server.pem")


@pytest.fixture
def secure(authority: Authority, video: bytes) -> Iterator[tuple[FaultServer, list[str | None]]]:
    """A TLS fault server, and the names that clients asked for."""
    names: list[str | None] = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.server)
    context.sni_callback = lambda _socket, name, _context: names.append(name)
    with FaultServer(video, context=context) as server:
        yield server, names


def _trusting(authority: Authority) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(authority.ca))


def test_tls_keeps_the_name_while_the_address_is_dialled(
    authority: Authority, secure: tuple[FaultServer, list[str | None]], video: bytes, spool: Path
) -> None:
    server, names = secure
    name = f"good.example.com:{server.port}"
    downloader = _downloader(name, context=_trusting(authority))
    for _ in range(2):
        download = downloader.fetch(f"https://{name}/fault/ok", spool)
        assert download.path.read_bytes() == video
    assert names == ["good.example.com"], "the second request used the kept connection"
    assert [request.headers["host"] for request in server.requests] == [name, name]


def test_an_address_is_verified_as_an_address(
    authority: Authority, secure: tuple[FaultServer, list[str | None]], spool: Path
) -> None:
    server, names = secure
    downloader = _downloader(server.netloc, context=_trusting(authority))
    downloader.fetch(server.url("ok"), spool)
    assert set(names) <= {None}


def test_a_certificate_for_another_name_is_refused(
    authority: Authority, secure: tuple[FaultServer, list[str | None]], spool: Path
) -> None:
    server, _ = secure
    name = f"evil.example.com:{server.port}"
    with pytest.raises(DownloadFailed) as caught:
        _downloader(name, context=_trusting(authority)).fetch(f"https://{name}/fault/ok?sig=SECRET", spool)
    assert (caught.value.fault, caught.value.reason) == (Fault.TLS, Reason.TLS_UNTRUSTED)
    assert "SECRET" not in f"{caught.value!r}{caught.value.evidence}"
    assert server.requests == []


def test_a_certificate_of_an_unknown_authority_is_refused(
    secure: tuple[FaultServer, list[str | None]], spool: Path
) -> None:
    server, _ = secure
    name = f"good.example.com:{server.port}"
    with pytest.raises(DownloadFailed) as caught:
        _downloader(name).fetch(f"https://{name}/fault/ok", spool)
    assert caught.value.fault is Fault.TLS
    assert server.requests == []


def test_a_redirect_out_of_tls_is_refused(
    authority: Authority, secure: tuple[FaultServer, list[str | None]], source: FaultServer, spool: Path
) -> None:
    server, _ = secure
    downloader = _downloader(server.netloc, source.netloc, context=_trusting(authority))
    with pytest.raises(DownloadFailed) as caught:
        downloader.fetch(server.url("redirect", to=source.url("ok")), spool)
    assert caught.value.fault is Fault.REDIRECT_REFUSED
    assert source.requests == []


def test_a_body_cut_off_inside_tls_is_noticed(
    authority: Authority, secure: tuple[FaultServer, list[str | None]], spool: Path
) -> None:
    server, _ = secure
    with pytest.raises(DownloadFailed) as caught:
        _downloader(server.netloc, context=_trusting(authority)).fetch(server.url("truncated"), spool)
    assert caught.value.fault is Fault.TRUNCATED


def test_a_connection_is_not_used_again_while_tls_holds_more_than_was_announced(
    authority: Authority, video: bytes, spool: Path
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.server)
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(video) + video
    with script(answer + b"HTTP/1.1 404 Poison\r\n\r\n", answer, keep_open=True, context=context) as server:
        with _downloader(server.netloc, context=_trusting(authority)) as downloader:
            for _ in range(2):
                assert downloader.fetch(f"https://{server.netloc}/a", spool).path.read_bytes() == video
        assert server.connections == 2
