"""One file per provider: submit, poll, refresh, cancel, in the provider's own words.

``get_provider`` knows every provider by name. ``docs/providers.md`` says how to add one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from video_assets.providers.base import Misconfigured, Provider
from video_assets.providers.luma import Luma
from video_assets.providers.runway import Runway
from video_assets.settings import Settings

PROVIDERS: Final[Mapping[str, Callable[[Settings], Provider]]] = MappingProxyType(
    {"luma": Luma, "runway": Runway}
)
"""Every provider by name. A factory opens no connection."""


class UnknownProvider(Misconfigured):
    """No provider has this name."""


def get_provider(name: str, settings: Settings) -> Provider:
    """The provider called ``name``. Keep it: it keeps its connections. Raises UnknownProvider, Misconfigured."""
    factory = PROVIDERS.get(name)
    if factory is None:
        raise UnknownProvider(f"there is no provider {name!r}; known are {', '.join(sorted(PROVIDERS))}")
    return factory(settings)


def configured(settings: Settings) -> tuple[str, ...]:
    """Names of the providers that have a key, sorted. Raises Misconfigured for an address that is none."""
    return tuple(name for name in sorted(PROVIDERS) if get_provider(name, settings).has_key)
