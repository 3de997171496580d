"""What each way of not answering means: taken, not taken, or nobody knows. And where the key never goes."""

from __future__ import annotations

import gzip
import json
import pickle
import socket
import ssl
import threading
import traceback
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from video_assets.providers.base import (
    GenerationSpec,
    KeyRefused,
    Misconfigured,
    ProviderError,
    RequestRefused,
    SubmissionUncertain,
    TaskUnknown,
)
from video_assets.providers.connections import tls_context
from video_assets.providers.http import (
    LARGEST_ANSWER,
    LONGEST_RETRY_AFTER,
    path_segment,
    retry_after,
)
from video_assets.providers.luma import Luma
from video_assets.providers.runway import Runway
from video_assets.reasons import Reason
from video_assets.settings import Settings

from .conftest import RUNWAY_KEY
from .strategies import unhurried
from .wire import Act, Wire, answer, drip, raw, reset, silence

SPEC = GenerationSpec("gen4.5", "a paper boat in rain")
TEMPORARY = "https://dnznrvs05pmza.cloudfront.net/out.mp4?_jwt=eyJhbGciOiJIUzI1NiJ9.eyJleHAiOjF9.c2lnbmF0dXJl"
TASK = {"id": "t-1", "status": "RUNNING", "progress": 0.5}

SettingsFor = Callable[..., Settings]


def failure_of(call: Callable[[], object]) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        call()
    return caught.value


# -- was it sent, was it taken -------------------------------------------------------------------------------


def test_a_refused_connection_certainly_took_nothing(settings_for: SettingsFor) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed_soon:
        port = closed_soon.getsockname()[1]
    error = failure_of(lambda: Runway(settings_for(f"http://127.0.0.1:{port}")).submit(SPEC))
    assert type(error) is ProviderError
    assert error.retryable
    assert "refused" in str(error)


def test_a_name_that_does_not_resolve_certainly_took_nothing(settings_for: SettingsFor) -> None:
    error = failure_of(lambda: Runway(settings_for("http://provider.invalid")).submit(SPEC))
    assert type(error) is ProviderError
    assert "does not resolve" in str(error)


def test_a_certificate_nobody_trusts_gets_no_request(settings_for: SettingsFor, tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*_self_signed(tmp_path))
    with Wire(tls=context) as secure:
        provider = Runway(settings_for(f"https://localhost:{secure.port}"))
        error = failure_of(lambda: provider.submit(SPEC))
        assert secure.connections == 1
        assert secure.requests == []
    assert type(error) is ProviderError
    assert "certificate is not trusted" in str(error)


def test_a_trusted_certificate_is_accepted(
    settings_for: SettingsFor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, key = _self_signed(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    tls_context.cache_clear()
    try:
        with Wire(script=[answer(200, TASK)], tls=context) as secure:
            provider = Runway(settings_for(f"https://localhost:{secure.port}"))
            assert provider.poll("t-1").progress == 0.5
    finally:
        tls_context.cache_clear()


@pytest.mark.parametrize(
    "act",
    [
        pytest.param(reset, id="reset"),
        pytest.param(raw(b""), id="closed without a word"),
        pytest.param(silence, id="silence"),
        pytest.param(drip, id="a body that never ends"),
        pytest.param(raw(b"HTTP/1.1 200 x\r\ncontent-length: 99\r\n\r\n{}"), id="truncated body"),
        pytest.param(raw(b"not http at all\r\n\r\n"), id="not http"),
        pytest.param(
            raw(b"HTTP/1.1 200 x\r\ncontent-encoding: gzip\r\ncontent-length: 2\r\n\r\n{}"), id="not gzip"
        ),
        pytest.param(answer(200, b"<html>maintenance</html>", content_type="text/html"), id="html"),
        pytest.param(answer(200, b'{"id": '), id="half a json"),
        pytest.param(answer(200, b"\xff\xfe\x00"), id="not text"),
        pytest.param(answer(200, b"[" * 200_000), id="json too deep to read"),
        pytest.param(answer(200, []), id="a json list"),
        pytest.param(answer(200, None), id="nothing"),
        pytest.param(answer(204), id="204"),
        pytest.param(answer(500, {"error": "boom"}), id="500"),
        pytest.param(answer(502, b"<html>"), id="502"),
        pytest.param(answer(503, {"error": "shedding load"}), id="503"),
        pytest.param(answer(504, b""), id="504"),
        pytest.param(answer(408, {"error": "timeout"}), id="408"),
        pytest.param(answer(303, None, location="/elsewhere"), id="303"),
        pytest.param(answer(200, {"estimatedCost": {"credits": 1}}), id="no id"),
    ],
)
class TestAfterTheRequestWasSent:
    def test_a_submission_is_uncertain_and_sent_only_once(
        self, act: Act, wire: Wire, settings_for: SettingsFor
    ) -> None:
        wire.script = [act]
        error = failure_of(lambda: Runway(settings_for(wire.url, provider_timeout_seconds=0.4)).submit(SPEC))
        assert isinstance(error, SubmissionUncertain)
        assert not error.retryable
        assert error.reason is Reason.SUBMISSION_UNCONFIRMED
        assert len(wire.requests) == 1

    def test_a_poll_may_simply_be_repeated(self, act: Act, wire: Wire, settings_for: SettingsFor) -> None:
        wire.script = [act]
        error = failure_of(lambda: Runway(settings_for(wire.url, provider_timeout_seconds=0.4)).poll("t-1"))
        assert type(error) is ProviderError
        assert error.retryable
        assert error.reason is Reason.PROVIDER_ERROR
        assert len(wire.requests) == 1


@pytest.mark.parametrize("packed", [False, True])
def test_an_answer_beyond_any_sensible_size_is_not_read_to_its_end(
    packed: bool, wire: Wire, settings: Settings
) -> None:
    body = b'{"id": "t-1", "x": "' + b"x" * (LARGEST_ANSWER + 1) + b'"}'
    wire.script = [
        answer(200, gzip.compress(body), content_encoding="gzip") if packed else answer(200, body),
    ]
    assert "size" in str(failure_of(lambda: Runway(settings).poll("t-1")))


@pytest.mark.parametrize("status", [400, 402, 404, 405, 413, 422, 451])
def test_a_refused_submission_carries_the_providers_own_sentence(
    status: int, wire: Wire, settings: Settings
) -> None:
    wire.script = [answer(status, {"error": "ratio must be one of\n1280:720", "issues": [{"path": ["ratio"]}]})]
    error = failure_of(lambda: Runway(settings).submit(SPEC))
    assert type(error) is RequestRefused
    assert error.status == status
    assert "ratio must be one of 1280:720" in str(error)
    assert not error.retryable


@pytest.mark.parametrize("status", [400, 402, 405, 409, 422, 451])
def test_a_refused_question_never_ends_a_job_that_was_taken(status: int, wire: Wire, settings: Settings) -> None:
    """A 400 to a poll may mean that the API version was retired; the video is still there."""
    wire.script = [answer(status, {"error": "X-Runway-Version is not supported"})]
    error = failure_of(lambda: Runway(settings).poll("t-1"))
    assert type(error) is ProviderError
    assert error.retryable
    assert "X-Runway-Version" in str(error)


@pytest.mark.parametrize("status", [409, 425])
def test_a_submission_that_came_at_a_bad_moment_took_nothing(status: int, wire: Wire, settings: Settings) -> None:
    wire.script = [answer(status, {"error": "conflict"})]
    error = failure_of(lambda: Runway(settings).submit(SPEC))
    assert type(error) is ProviderError
    assert error.retryable


def test_a_list_of_validation_errors_reads_as_a_sentence(wire: Wire, settings: Settings) -> None:
    wire.script = [answer(422, {"detail": [{"loc": ["body", "model"], "msg": "field required"}]})]
    assert "body.model: field required" in str(failure_of(lambda: Luma(settings).submit(SPEC)))


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_names_the_setting(status: int, wire: Wire, settings: Settings) -> None:
    wire.script = [answer(status, {"error": f"bad key {RUNWAY_KEY}"})]
    error = failure_of(lambda: Runway(settings).check_key())
    assert isinstance(error, KeyRefused)
    assert "VIDEO_ASSETS_RUNWAY_API_KEY" in str(error)
    assert RUNWAY_KEY not in str(error)


@pytest.mark.parametrize("status", [404, 410])
def test_a_task_the_provider_does_not_know(status: int, wire: Wire, settings: Settings) -> None:
    wire.script = [answer(status, {"error": "not found"})]
    error = failure_of(lambda: Runway(settings).poll("t-1"))
    assert isinstance(error, TaskUnknown)
    assert error.reason is Reason.SOURCE_GONE


@pytest.mark.parametrize("status", [403, 404, 410])
def test_a_page_of_some_proxy_is_never_the_last_word_about_a_job(
    status: int, wire: Wire, settings: Settings
) -> None:
    wire.script = [answer(status, b"<html>no such site</html>", content_type="text/html")]
    error = failure_of(lambda: Runway(settings).poll("t-1"))
    assert type(error) is ProviderError
    assert error.retryable


def test_too_many_requests_took_nothing_and_says_how_long_to_wait(wire: Wire, settings: Settings) -> None:
    wire.script = [answer(429, {"error": "slow down"}, retry_after="7")]
    error = failure_of(lambda: Runway(settings).submit(SPEC))
    assert type(error) is ProviderError
    assert error.retryable
    assert error.status == 429
    assert error.retry_after == timedelta(seconds=7)


def test_a_success_may_ask_for_a_pause_too(wire: Wire, settings: Settings) -> None:
    wire.script = [answer(200, TASK, retry_after="9")]
    assert Runway(settings).poll("t-1").retry_after == timedelta(seconds=9)


def test_parameters_that_are_not_json_are_refused_before_sending(wire: Wire, settings: Settings) -> None:
    for value in (object(), float("nan")):
        spec = GenerationSpec("gen4.5", "boat", {"seed": value})
        with pytest.raises(RequestRefused):
            Runway(settings).submit(spec)
    assert wire.connections == 0


# -- connections ---------------------------------------------------------------------------------------------


def test_polls_share_a_connection(wire: Wire, settings: Settings) -> None:
    wire.otherwise = lambda request: answer(200, TASK)
    provider = Runway(settings)
    for _ in range(5):
        provider.poll("t-1")
    assert wire.connections == 1


def test_a_submission_never_uses_a_connection_that_may_have_died(wire: Wire, settings: Settings) -> None:
    """The reset of a kept connection would make the outcome uncertain although nothing arrived."""
    wire.otherwise = lambda request: answer(200, TASK)
    provider = Runway(settings)
    provider.poll("t-1")
    provider.submit(SPEC)
    assert wire.connections == 2


def test_polls_from_many_threads_get_their_own_answers(wire: Wire, settings: Settings) -> None:
    wire.otherwise = lambda request: answer(200, {"id": request.path.rsplit("/", 1)[1], "status": "RUNNING"})
    provider = Runway(settings)
    names = [f"t-{n}" for n in range(40)]
    seen: dict[str, str] = {}
    threads = [
        threading.Thread(target=lambda name=name: seen.update({name: provider.poll(name).task_id}))
        for name in names
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == {name: name for name in names}


# -- where the key goes --------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("call", ["submit", "poll", "cancel"])
def test_a_redirect_is_not_followed_so_the_key_stays_home(
    status: int, call: str, wire: Wire, settings: Settings
) -> None:
    with Wire() as elsewhere:
        wire.script = [answer(status, None, location=f"{elsewhere.url}/v1/tasks/t-1")]
        provider = Runway(settings)
        failure_of(lambda: provider.submit(SPEC) if call == "submit" else getattr(provider, call)("t-1"))
        assert elsewhere.connections == 0
    assert len(wire.requests) == 1


@pytest.mark.parametrize("status", [301, 307, 308])
def test_a_redirect_of_a_submission_took_nothing_and_names_the_setting(
    status: int, wire: Wire, settings: Settings
) -> None:
    wire.script = [answer(status, None, location="https://elsewhere.example/")]
    error = failure_of(lambda: Runway(settings).submit(SPEC))
    assert type(error) is ProviderError
    assert "VIDEO_ASSETS_RUNWAY_BASE_URL" in str(error)
    assert "elsewhere" not in str(error)


def test_proxies_and_netrc_of_the_environment_are_not_used(
    wire: Wire, settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login someone password else\n")
    wire.otherwise = lambda request: answer(200, TASK)
    with Wire() as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        monkeypatch.setenv("NETRC", str(netrc))
        Runway(settings).poll("t-1")
        assert proxy.connections == 0
    assert wire.requests[0].headers["authorization"] == f"Bearer {RUNWAY_KEY}"


@pytest.mark.parametrize("task_id", ["../organization", "a/b", "?x=1", "#", "t 1", "é", "%2e%2e"])
def test_a_task_id_is_one_segment_of_the_path_whatever_it_holds(
    task_id: str, wire: Wire, settings: Settings
) -> None:
    wire.otherwise = lambda request: answer(200, {**TASK, "id": task_id})
    Runway(settings).poll(task_id)
    path = wire.requests[0].path
    assert path.startswith("/v1/tasks/")
    assert path.count("/") == 3
    assert "?" not in path


@pytest.mark.parametrize("task_id", ["", " ", ".", "..", "x" * 1000])
def test_what_cannot_be_a_task_id_is_not_asked_for(task_id: str) -> None:
    with pytest.raises(TaskUnknown):
        path_segment(task_id)


@pytest.mark.parametrize(
    "address",
    [
        "",
        "api.runway.example",
        "ftp://api.example",
        "https://",
        "https://user:pw@api.example",
        "https://api.example/?key=1",
        "https://api.example:notaport",
        "https://[broken",
    ],
)
def test_an_address_that_is_none_is_named_and_not_quoted(address: str, settings_for: SettingsFor) -> None:
    with pytest.raises(Misconfigured, match="VIDEO_ASSETS_RUNWAY_BASE_URL") as caught:
        Runway(settings_for("http://127.0.0.1", runway_base_url=address))
    assert "pw" not in str(caught.value)


@pytest.mark.parametrize("key", [None, "", "  "])
def test_a_missing_key_is_an_error_only_when_it_is_needed(
    key: str | None, wire: Wire, settings_for: SettingsFor
) -> None:
    provider = Runway(settings_for(wire.url, runway_api_key=key))
    provider.validate(SPEC)
    assert not provider.has_key
    for call in (lambda: provider.submit(SPEC), lambda: provider.poll("t-1"), provider.check_key):
        error = failure_of(call)
        assert isinstance(error, KeyRefused)
        assert str(error) == "runway has no key: set VIDEO_ASSETS_RUNWAY_API_KEY"
    assert wire.connections == 0


@pytest.mark.parametrize("key", ["secret\r\nX-Evil: 1", "two words", "schlüssel", "nul\x00"])
def test_a_key_that_cannot_be_one_is_not_sent_and_not_quoted(
    key: str, wire: Wire, settings_for: SettingsFor
) -> None:
    error = failure_of(lambda: Runway(settings_for(wire.url, runway_api_key=key)).check_key())
    assert isinstance(error, KeyRefused)
    assert key not in "".join(traceback.format_exception(error))
    assert wire.connections == 0


def test_white_space_around_a_pasted_key_does_no_harm(wire: Wire, settings_for: SettingsFor) -> None:
    wire.script = [answer(200, {"creditBalance": 5})]
    Runway(settings_for(wire.url, runway_api_key=f" {RUNWAY_KEY}\n")).check_key()
    assert wire.requests[0].headers["authorization"] == f"Bearer {RUNWAY_KEY}"


@pytest.mark.parametrize(
    "act",
    [
        answer(400, {"error": f"cannot fetch {TEMPORARY}"}),
        answer(401, {"error": f"key {RUNWAY_KEY} is wrong"}),
        answer(404, {"error": TEMPORARY}),
        answer(429, {"error": f"{RUNWAY_KEY}"}),
        answer(500, {"error": f"{RUNWAY_KEY} {TEMPORARY}"}),
        answer(302, None, location=TEMPORARY),
        answer(200, json.dumps({"output": [TEMPORARY]}).encode() + b"garbage"),
        answer(200, {"id": "t-1", "status": "SUCCEEDED", "output": [{"url": TEMPORARY}]}),
        raw(b"HTTP/1.1 200 x\r\nlocation: " + TEMPORARY.encode() + b"\r\ncontent-length: 9\r\n\r\n{"),
        reset,
        silence,
    ],
)
def test_no_error_ever_shows_a_key_or_a_temporary_link(act: Act, wire: Wire, settings_for: SettingsFor) -> None:
    provider = Runway(settings_for(wire.url, provider_timeout_seconds=0.4))
    for call in (lambda: provider.submit(SPEC), lambda: provider.poll("t-1")):
        wire.script = [act]
        error = failure_of(call)
        shown = "".join(traceback.format_exception(error)) + repr(error) + repr(vars(error)) + repr(provider)
        assert RUNWAY_KEY not in shown
        assert "eyJ" not in shown
        assert error.__cause__ is None
        assert error.__context__ is None or error.__suppress_context__


def test_errors_survive_the_way_between_processes() -> None:
    for kind in (ProviderError, RequestRefused, KeyRefused, TaskUnknown, SubmissionUncertain):
        error = kind("a sentence", status=429, retry_after=timedelta(seconds=3))
        copy = pickle.loads(pickle.dumps(error))
        assert type(copy) is kind
        assert (str(copy), copy.status, copy.retry_after) == ("a sentence", 429, timedelta(seconds=3))


# -- retry-after ---------------------------------------------------------------------------------------------

NOW = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after-ms": "1500"}, 1.5),
        ({"retry-after-ms": "250", "retry-after": "30"}, 0.25),
        ({"retry-after-ms": "soon", "retry-after": "30"}, 30),
        ({"retry-after": "0"}, 0),
        ({"retry-after": "-5"}, 0),
        ({"retry-after": "1e12"}, 86400),
        ({"retry-after": "inf"}, 86400),
        ({"retry-after": "Fri, 20 Nov 2026 10:00:20 GMT"}, 20),
        ({"retry-after": "Fri, 20 Nov 2026 09:00:00 GMT"}, 0),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "later"}, None),
        ({}, None),
    ],
)
def test_how_long_a_server_asks_to_wait(headers: dict[str, str], seconds: float | None) -> None:
    expected = None if seconds is None else timedelta(seconds=seconds)
    assert retry_after(headers, now=NOW) == expected


@pytest.mark.parametrize("skew", [timedelta(hours=-5), timedelta(minutes=10), timedelta(days=400)])
def test_a_wrong_clock_here_does_not_change_the_pause(skew: timedelta) -> None:
    headers = {"date": "Fri, 20 Nov 2026 10:00:00 GMT", "retry-after": "Fri, 20 Nov 2026 10:00:45 GMT"}
    assert retry_after(headers, now=NOW + skew) == timedelta(seconds=45)


@unhurried
@given(st.dictionaries(st.sampled_from(["retry-after", "retry-after-ms", "date"]), st.text(max_size=40)))
def test_no_header_can_ask_for_a_negative_or_endless_pause(headers: dict[str, str]) -> None:
    pause = retry_after(headers, now=NOW)
    assert pause is None or timedelta() <= pause <= LONGEST_RETRY_AFTER


def _self_signed(folder: Path) -> tuple[Path, Path]:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    cert_file, key_file = folder / "cert.pem", folder / "key.pem"
    cert_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return cert_file, key_file
