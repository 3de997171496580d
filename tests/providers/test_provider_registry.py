from __future__ import annotations

from collections.abc import Callable

import pytest

from video_assets.providers import PROVIDERS, UnknownProvider, configured, get_provider
from video_assets.providers.base import JobState, Provider
from video_assets.reasons import Reason
from video_assets.settings import Settings


@pytest.mark.parametrize("name", sorted(PROVIDERS))
def test_every_listed_provider_keeps_the_contract(name: str, settings: Settings) -> None:
    provider = get_provider(name, settings)
    assert isinstance(provider, Provider)
    assert provider.name == name
    assert provider.title
    assert provider.cost_unit
    assert provider.max_concurrent_jobs is None or provider.max_concurrent_jobs >= 1
    assert provider.refreshes in ("by_task", "by_url", "no")
    assert provider.poll_plan.first.total_seconds() >= 1
    assert provider.poll_plan.growth >= 1
    assert provider.poll_plan.longest >= provider.poll_plan.first


def test_an_unknown_provider_is_named_beside_the_known_ones(settings: Settings) -> None:
    with pytest.raises(UnknownProvider, match="there is no provider 'sora'; known are luma, runway") as caught:
        get_provider("sora", settings)
    assert caught.value.reason is Reason.CONFIGURATION
    assert not caught.value.retryable


def test_only_providers_with_a_key_are_configured(settings_for: Callable[..., Settings]) -> None:
    url = "http://127.0.0.1:9"
    assert configured(settings_for(url)) == ("luma", "runway")
    assert configured(settings_for(url, luma_api_key=None)) == ("runway",)
    assert configured(settings_for(url, luma_api_key=" ", runway_api_key=None)) == ()


def test_a_pause_never_overflows() -> None:
    plan = PROVIDERS["runway"].poll_plan  # type: ignore[attr-defined]
    assert plan.pause_after(10**9) == plan.longest


def test_only_three_states_are_final() -> None:
    assert {state for state in JobState if state.settled} == {
        JobState.SUCCEEDED,
        JobState.FAILED,
        JobState.CANCELLED,
    }
