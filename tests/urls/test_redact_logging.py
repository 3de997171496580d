"""Log records are safe before any handler sees them, whichever library wrote them."""

from __future__ import annotations

import http.client
import io
import json
import logging
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import boto3
import pytest
import requests
from botocore.config import Config

from video_assets.urls import RedactingFilter, install_redaction

SIG = "9f3b1c7e5a2d4860b1c3e5f7092a4b6c8d0e1f2a3b4c5d6e7f8091a2b3c4d5e6"
URL = f"https://d1.cloudfront.net/v.mp4?Expires=1800000000&Signature={SIG}&Key-Pair-Id=K1"


@pytest.fixture
def log() -> Iterator[tuple[logging.Logger, io.StringIO]]:
    """A logger of its own below a process where redaction is installed, and what its handler writes."""
    factory = logging.getLogRecordFactory()
    install_redaction()
    logger = logging.getLogger("video_assets.tests.redaction")
    logger.propagate = False
    logger.setLevel(logging.DEBUG)
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    logger.addHandler(handler)
    try:
        yield logger, stream
    finally:
        logger.removeHandler(handler)
        logging.setLogRecordFactory(factory)


class Link:
    """An object whose text holds a URL, as requests' responses and exceptions do."""

    def __str__(self) -> str:
        return f"Link to {URL}"


@pytest.mark.parametrize(
    ("message", "arguments"),
    [
        (f"fetching {URL}", ()),
        ("fetching %s", (URL,)),
        ("fetching %r", (URL,)),
        ("%s: %d bytes from %s", ("ok", 17, Link())),
        ("headers %s", ({"Authorization": f"Bearer {SIG}"},)),
        ("%(url)s", ({"url": URL},)),
        ("Signature=%s&Key-Pair-Id=K1", (SIG,)),
        ("body %s", (URL.encode(),)),
        (Link(), ()),
        ("list %s", ([URL, URL],)),
    ],
)
def test_messages_and_arguments(
    log: tuple[logging.Logger, io.StringIO], message: object, arguments: tuple[object, ...]
) -> None:
    logger, stream = log
    logger.info(message, *arguments)
    assert SIG not in stream.getvalue()
    assert "REDACTED" in stream.getvalue()


def test_numbers_and_harmless_arguments_keep_their_types(log: tuple[logging.Logger, io.StringIO]) -> None:
    logger, stream = log
    logger.info("%d of %.1f at %s for %s", 3, 4.5, "noon", URL)
    assert stream.getvalue().startswith(
        "INFO 3 of 4.5 at noon for https://d1.cloudfront.net/v.mp4?Expires=1800000000"
    )


def test_tracebacks_with_their_causes(log: tuple[logging.Logger, io.StringIO]) -> None:
    logger, stream = log
    try:
        try:
            raise OSError(f"refused: {URL}")
        except OSError as cause:
            raise RuntimeError(f"could not fetch {URL}") from cause
    except RuntimeError:
        logger.exception("failed")
    text = stream.getvalue()
    assert SIG not in text
    assert "RuntimeError: could not fetch https://d1.cloudfront.net/v.mp4" in text
    assert "refused: https://d1.cloudfront.net/v.mp4" in text


def test_a_harmless_traceback_keeps_its_exception(log: tuple[logging.Logger, io.StringIO]) -> None:
    logger, _ = log
    seen: list[logging.LogRecord] = []
    logger.addFilter(lambda record: seen.append(record) or True)
    try:
        raise ValueError("plain")
    except ValueError:
        logger.exception("failed")
    assert seen[0].exc_info is not None


def test_a_wrong_format_still_shows_no_secret(log: tuple[logging.Logger, io.StringIO]) -> None:
    logger, _ = log
    record = logger.makeRecord(logger.name, logging.INFO, __file__, 1, "two %s %s", (URL,), None)
    assert SIG not in str(record.__dict__), "logging prints template and arguments when they do not fit"
    with pytest.raises(TypeError):
        record.getMessage()


def test_an_object_that_cannot_be_shown_is_withheld(log: tuple[logging.Logger, io.StringIO]) -> None:
    class Broken:
        def __str__(self) -> str:
            raise RuntimeError(URL)

        __repr__ = __str__

    logger, stream = log
    logger.info("broken %s", Broken())
    assert SIG not in stream.getvalue()
    assert "withheld" in stream.getvalue()


def test_the_filter_covers_extra_attributes_of_structured_handlers() -> None:
    record = logging.makeLogRecord({"msg": "fetched", "url": URL, "bytes": 3})
    assert RedactingFilter().filter(record)
    assert SIG not in json.dumps(record.__dict__, default=str)
    assert record.__dict__["bytes"] == 3


def test_installing_twice_wraps_once() -> None:
    factory = logging.getLogRecordFactory()
    try:
        install_redaction()
        once = logging.getLogRecordFactory()
        install_redaction()
        assert logging.getLogRecordFactory() is once
    finally:
        logging.setLogRecordFactory(factory)


@pytest.fixture
def server() -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(403)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_address[1]}"
        running.shutdown()


def test_the_debug_lines_of_requests_and_botocore(server: str, caplog: pytest.LogCaptureFixture) -> None:
    factory = logging.getLogRecordFactory()
    install_redaction()
    level = logging.getLogger("botocore").level
    try:
        with caplog.at_level(logging.DEBUG):
            logging.getLogger("botocore").setLevel(logging.DEBUG)
            try:
                requests.get(
                    f"{server}/v.mp4?Expires=1&Signature={SIG}&Key-Pair-Id=K", timeout=5
                ).raise_for_status()
            except requests.HTTPError:
                logging.getLogger("app").exception("failed")
            client = boto3.client(
                "s3",
                endpoint_url=server,
                region_name="eu-central-1",
                aws_access_key_id="AKIAIOSFODNN7EXAMPLE",
                aws_secret_access_key="wJalrXUtnFEMI",
                aws_session_token=SIG,
                config=Config(retries={"max_attempts": 1}),
            )
            with pytest.raises(client.exceptions.ClientError):
                client.get_object(Bucket="b", Key="k")
            presigned = client.generate_presigned_url("get_object", Params={"Bucket": "b", "Key": "k"})
            requests.get(presigned, timeout=5)
    finally:
        logging.getLogger("botocore").setLevel(level)
        logging.setLogRecordFactory(factory)
    text = caplog.text + "".join(str(record.__dict__) for record in caplog.records)
    assert "GET /v.mp4" in text, "urllib3's debug line must have been captured for this test to mean anything"
    assert "botocore" in text
    assert SIG not in text
    assert presigned.rsplit("X-Amz-Signature=", 1)[1].split("&")[0] not in text
    assert http.client.HTTPConnection.debuglevel == 0


def test_dagster_event_text() -> None:
    from dagster import DagsterInstance, job, op

    factory = logging.getLogRecordFactory()
    install_redaction()
    try:

        @op
        def fetch(context) -> None:  # type: ignore[no-untyped-def]
            context.log.info(f"fetching {URL}")

        @job
        def rescue() -> None:
            fetch()

        with DagsterInstance.ephemeral() as instance:
            result = rescue.execute_in_process(instance=instance)
            messages = [entry.message for entry in instance.all_logs(result.run_id)]
    finally:
        logging.setLogRecordFactory(factory)
    assert any("fetching https://d1.cloudfront.net/v.mp4" in message for message in messages)
    assert not any(SIG in message for message in messages)
