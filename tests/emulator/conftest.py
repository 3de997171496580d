"""A running emulator, and patience without sleeping longer than needed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TypeVar

import pytest

from video_assets.emulator import Emulator

T = TypeVar("T")


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    """Jobs end at once unless the test says otherwise; videos are small."""
    with Emulator(directives={"queue_seconds": 0, "run_seconds": 0, "seconds": 0.5}) as running:
        yield running


def until(ask: Callable[[], T], good: Callable[[T], bool], seconds: float = 20) -> T:
    """Ask again and again until the answer is good."""
    deadline = time.monotonic() + seconds
    while True:
        answer = ask()
        if good(answer):
            return answer
        assert time.monotonic() < deadline, f"never came: last answer {answer!r}"
        time.sleep(0.02)
