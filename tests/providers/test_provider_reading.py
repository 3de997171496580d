"""The readers give None for what is not as expected, and never show a secret."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given

from video_assets.providers import reading

from .strategies import json_values, unhurried

LINK = "https://cdn.example.com/out.mp4?_jwt=eyJhbGciOiJIUzI1NiJ9.eyJleHAiOjF9.c2lnbmF0dXJl"


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        ("2026-11-20T10:00:00.123Z", datetime(2026, 11, 20, 10, 0, 0, 123000, UTC)),
        ("2026-11-20T12:00:00+02:00", datetime(2026, 11, 20, 10, tzinfo=UTC)),
        ("2026-11-20T10:00:00", datetime(2026, 11, 20, 10, tzinfo=UTC)),
        ("0001-01-01T00:00:00+14:00", None),
        ("9999-12-31T23:59:59-14:00", None),
        ("yesterday", None),
        (1763632800, None),
        (None, None),
    ],
)
def test_times_are_utc_or_nothing(sent: object, read: datetime | None) -> None:
    assert reading.moment(sent) == read


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        (60, 60.0),
        (0.5, 0.5),
        (-1, None),
        (10**400, None),
        (float("nan"), None),
        (float("inf"), None),
        (True, None),
    ],
)
def test_numbers_are_finite_and_not_negative(sent: object, read: float | None) -> None:
    assert reading.number(sent) == read


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({"error": "bad ratio"}, "bad ratio"),
        (
            {"error": "bad", "issues": [{"path": ["ratio"], "message": "Required"}]},
            "bad (ratio: Required)",
        ),
        ({"detail": "Invalid model"}, "Invalid model"),
        ({"detail": [{"loc": ["body", 0], "msg": "wrong"}, "and more", {}]}, "body.0: wrong; and more"),
        ({"error": {"message": "no credits", "code": 402}}, "no credits"),
        ({"error": None, "message": "  spread\n over\tlines "}, "spread over lines"),
        ({"error": {"deeper": {"message": "x"}}}, None),
        ({}, None),
        ([], None),
        ("text", None),
    ],
)
def test_the_providers_own_sentence(body: object, sentence: str | None) -> None:
    assert reading.error_sentence(body) == sentence


def test_a_sentence_is_redacted_before_it_is_cut() -> None:
    """Cutting first could leave the start of a token that redaction no longer recognises."""
    for padding in range(380, 500):
        shown = reading.text("x" * padding + f" {LINK}") or ""
        assert "eyJ" not in shown
        assert len(shown) <= 500


def test_an_echoed_key_is_hidden_before_the_sentence_is_cut() -> None:
    key = "key_0123456789abcdef0123456789"
    for padding in range(440, 500):
        for body in ({"error": "x" * padding + key}, {"detail": [{"loc": [key], "msg": "x" * padding + key}]}):
            assert "key_0" not in (reading.error_sentence(body, hide=key) or "")


@unhurried
@given(json_values)
def test_no_error_body_breaks_the_reader(body: object) -> None:
    for wrapped in (body, {"error": body}, {"detail": body}, {"detail": [body], "issues": body}):
        sentence = reading.error_sentence(wrapped)
        assert sentence is None or (0 < len(sentence) <= 500 and "\n" not in sentence and "eyJ" not in sentence)


@pytest.mark.parametrize(
    "link", ["", "ftp://h/x", "https://", "https://[", "//h/x", "h/x", None, 5, ["https://h/x"]]
)
def test_what_is_not_an_address_is_not_offered(link: object) -> None:
    assert reading.address(link) is None
