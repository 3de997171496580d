"""Turning a request's free parameters into the fields of one provider's API."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from video_assets.providers.base import GenerationSpec, RequestRefused

_SNAKE = re.compile(r"(?<=[a-zA-Z0-9])_([a-z0-9])")
_CAMEL = re.compile(r"(?<=[a-z0-9])([A-Z])")


def camel(name: str) -> str:
    """``prompt_image`` as ``promptImage``; what is camel case already stays."""
    return _SNAKE.sub(lambda found: found[1].upper(), name)


def snake(name: str) -> str:
    """``aspectRatio`` as ``aspect_ratio``; what is snake case already stays."""
    return _CAMEL.sub(lambda found: f"_{found[1].lower()}", name)


def fields_of(spec: GenerationSpec, spelled: Callable[[str], str], *, model: str, prompt: str) -> dict[str, Any]:
    """The parameters of ``spec`` with every key, nested ones included, as the provider spells it.

    ``model`` and ``prompt`` are the provider's names of those two fields: they are left out here, and refused
    when they contradict the request's own. Raises RequestRefused, also for a field given in two spellings.
    """
    fields = _respelled(spec.parameters, spelled)
    for reserved, own in ((model, spec.model), (prompt, spec.prompt)):
        if fields.pop(reserved, own) != own:
            raise RequestRefused(f"the parameter {reserved} contradicts the request's own {reserved}")
    return fields


def _respelled(fields: Mapping[str, Any], spelled: Callable[[str], str]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in fields.items():
        name = spelled(key)
        if name in result:
            raise RequestRefused(f"the parameter {name} is given twice, in two spellings")
        result[name] = _respelled_value(value, spelled)
    return result


def _respelled_value(value: Any, spelled: Callable[[str], str]) -> Any:
    if isinstance(value, Mapping):
        return _respelled(value, spelled)
    if isinstance(value, (list, tuple)):
        return [_respelled_value(entry, spelled) for entry in value]
    return value
