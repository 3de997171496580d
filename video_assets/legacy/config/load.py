"""From a TOML file to sources: presets filled in, and a sentence for everything that is wrong in it."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from video_assets.legacy.config.models import Source
from video_assets.legacy.config.urls import refuse_password
from video_assets.legacy.errors import ConfigurationInvalid
from video_assets.urls import redact


def load_sources(path: Path, *, deleting_hosts: Sequence[str] = ()) -> dict[str, Source]:
    """Every source of a configuration file, by name, in the file's order, presets filled in.

    ``deleting_hosts`` are the rules of the settings; those of the file are added to them.
    Raises ConfigurationInvalid, naming the line or the key; a value is never repeated.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigurationInvalid(
            f"there is no {path}: write one with `video-assets legacy discover DATABASE_URL --write {path}`"
        ) from None
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigurationInvalid(f"{path} cannot be read: {type(exc).__name__}") from None
    sources = parse_sources(text, where=str(path))
    try:
        return {name: source.knowing(deleting_hosts) for name, source in sources.items()}
    except ValueError as exc:
        raise ConfigurationInvalid(f"VIDEO_ASSETS_DELETING_HOSTS: {exc}") from None


def parse_sources(text: str, *, where: str = "the configuration") -> dict[str, Source]:
    """Every source of a configuration text; see ``load_sources``."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        raise ConfigurationInvalid(f"{where} is not TOML: {redact(str(exc))}") from None
    unknown = sorted(set(document) - {"source", "deleting_hosts"})
    entries = document.get("source")
    if unknown or not isinstance(entries, list):
        raise ConfigurationInvalid(f"{where}: a configuration is a list of [[source]] entries and nothing else")
    for_all = _texts(document.get("deleting_hosts", []), where)
    sources: dict[str, Source] = {}
    for number, entry in enumerate(entries, 1):
        if not isinstance(entry, dict):
            raise ConfigurationInvalid(
                f"{where}: a configuration is a list of [[source]] entries and nothing else"
            )
        source = read_source(entry, where=f"{where}, source {number}")
        if source.name in sources:
            raise ConfigurationInvalid(f"{where}: two sources are called {source.name!r}")
        try:
            sources[source.name] = source.knowing(for_all)
        except ValueError as exc:
            raise ConfigurationInvalid(f"{where}: deleting_hosts: {exc}") from None
    return sources


def _texts(value: object, where: str) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise ConfigurationInvalid(f'{where}: deleting_hosts: a list of texts is wanted: ["…"]')
    return value


def read_source(entry: Mapping[str, Any], *, where: str = "the configuration") -> Source:
    """One source from its TOML table, its preset filled in. Raises ConfigurationInvalid."""
    try:
        source = Source.model_validate(_with_preset(entry, where))
    except ValidationError as exc:
        raise ConfigurationInvalid(f"{where}: {'; '.join(_problems(exc))}") from None
    except re.error as exc:
        raise ConfigurationInvalid(f"{where}: a regular expression is wrong: {exc.msg}") from None
    if source.kind == "database":
        for url in (source.url, source.replica_url):
            if url is not None:
                refuse_password(url, source=source.name)
    return source


def _with_preset(entry: Mapping[str, Any], where: str) -> dict[str, Any]:
    filled = dict(entry)
    name = filled.get("preset")
    if name is None or filled.get("table") or filled.get("tables"):
        return filled
    from video_assets.legacy.config.presets import PRESETS  # the presets are written in these models

    if not isinstance(name, str) or name not in PRESETS:
        raise ConfigurationInvalid(f"{where}: there is no preset {name!r}; known are {', '.join(PRESETS)}")
    preset = PRESETS[name]
    filled["tables"] = preset.tables
    filled.setdefault("kind", "database")
    return filled


def _problems(exc: ValidationError) -> Iterator[str]:
    for error in exc.errors(include_input=False, include_url=False, include_context=False):
        place = ".".join(str(part) for part in error["loc"])
        message = error["msg"]
        match error["type"]:
            case "extra_forbidden":
                known = _settings_at(error["loc"][:-1])
                near = get_close_matches(str(error["loc"][-1]), known, 1)
                message = f"there is no such setting; {f'did you mean {near[0]!r}?' if near else _known(known)}"
            case "tuple_type":
                message = 'a list is wanted: ["…"]'
            case "missing":
                message = "this setting is missing"
            case "model_type" | "model_attributes_type" | "dict_type":
                message = "a table of settings is wanted"
        yield f"{place}: {message}" if place else message


def _known(settings: Sequence[str]) -> str:
    return f"known are {', '.join(settings)}"


def _settings_at(place: Sequence[int | str]) -> list[str]:
    """The names that a TOML file may use at a place of the configuration; empty when nobody knows."""
    model: type[BaseModel] = Source
    for part in place:
        if isinstance(part, int):
            continue
        inside = next((each for name, each in model.model_fields.items() if part in (name, each.alias)), None)
        kinds = () if inside is None else (inside.annotation, *get_args(inside.annotation))
        models = [each for each in kinds if isinstance(each, type) and issubclass(each, BaseModel)]
        if not models:
            return []
        model = models[0]
    return sorted(each.alias or name for name, each in model.model_fields.items())


def choose(sources: Mapping[str, Source], names: Sequence[str]) -> list[Source]:
    """The sources of these names, all of them when none is given. Raises ConfigurationInvalid."""
    unknown = [name for name in names if name not in sources]
    if unknown:
        raise ConfigurationInvalid(f"no source is called {unknown[0]!r}; known are {', '.join(sources)}")
    return [sources[name] for name in names] if names else list(sources.values())
