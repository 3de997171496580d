"""Hosts that a user knows to delete."""

from __future__ import annotations

import json
import pickle
from datetime import UTC, datetime, timedelta

import pytest

from video_assets.legacy.search.prefilter import not_plain
from video_assets.urls import HostRules, InvalidHostRule, Kind, classify, find, host_rules, replace

RULES = host_rules(("media.example.com/renders/ = 7d", "tmp.example.net", "cdn.example.org/*/out/ = 36h"))
CREATED = datetime(2026, 11, 20, tzinfo=UTC)


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("https://media.example.com/renders/a.mp4", timedelta(days=7)),
        ("https://eu.media.example.com:8443/renders/a.mp4?v=3", timedelta(days=7)),
        ("https://TMP.example.net/a.mp4", None),
        ("https://cdn.example.org/jobs/17/out/a.mp4", timedelta(hours=36)),
        ("https://img.example.io/?url=https%3A%2F%2Fmedia.example.com%2Frenders%2Fa.mp4", timedelta(days=7)),
        ("https://wsrv.nl/?url=media.example.com/renders/a.mp4", timedelta(days=7)),
    ],
)
def test_a_user_s_host_is_temporary_wherever_it_stands(url: str, kept: timedelta | None) -> None:
    found = classify(url, created_at=CREATED, hosts=RULES)
    assert (found.kind, found.scheme, found.retention) == (Kind.TEMPORARY, "deleting_host", kept)
    assert found.expires_at == (None if kept is None else CREATED + kept)
    assert classify(url).is_persistable
    document = json.dumps({"a": [{"url": url}], "b": "https://other.example.com/c.mp4"})
    [finding] = find(document, hosts=RULES)
    assert finding.url == url
    assert json.loads(replace(document, [(finding, "https://new/")]))["a"][0]["url"] == "https://new/"
    assert list(not_plain([document] * 40, RULES)) == list(range(40))
    assert list(not_plain([document] * 40)) == [] or "%" in url or "wsrv" in url or ":8443" in url or "TMP" in url


@pytest.mark.parametrize(
    "url",
    [
        "https://media.example.com/static/logo.png",
        "https://media.example.com",
        "https://tmp.example.net/",
        "https://nottmp.example.net/a.mp4",
        "https://tmp.example.net.example.com/a.mp4",
        "https://cdn.example.org/out/a.mp4",
    ],
)
def test_other_paths_other_hosts_and_bare_origins_stay(url: str) -> None:
    assert classify(url, hosts=RULES).is_persistable
    assert find(json.dumps([url]), hosts=RULES) == []


def test_a_user_s_rule_wins_over_a_built_in_one_and_a_signature_over_both() -> None:
    url = "https://replicate.delivery/xezq/a/out.mp4"
    found = classify(url, created_at=CREATED, hosts=host_rules(("replicate.delivery = 30d",)))
    assert found.expires_at == CREATED + timedelta(days=30)
    signed = (
        "https://media.example.com/renders/a.mp4?Expires=1795000000&Signature=ab12CD34ef56GH78ij90&Key-Pair-Id=K1"
    )
    assert classify(signed, hosts=RULES).scheme == "cloudfront_canned"


def test_rules_travel_to_other_processes_and_are_written_as_they_were_read() -> None:
    sent = pickle.loads(pickle.dumps(RULES))
    assert (sent, hash(sent)) == (RULES, hash(RULES))
    assert classify("https://tmp.example.net/a", hosts=sent).is_temporary
    assert host_rules(RULES.texts()) == RULES
    assert not HostRules()


@pytest.mark.parametrize(
    "text", ["", "https://a.example.com", "a b", "a.example.com = soon", "a.example.com?x=1", "*"]
)
def test_what_is_no_rule_is_refused_without_being_repeated(text: str) -> None:
    with pytest.raises(InvalidHostRule, match="is written as HOST") as caught:
        host_rules((text,))
    assert not text or text == "*" or text not in str(caught.value)
