"""Where a source is: addresses with parts from the environment, and no password in a file."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from urllib.parse import quote

from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from video_assets.legacy.errors import ConfigurationInvalid

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_WHOLE_VARIABLE = re.compile(r"\$\{[A-Za-z_][A-Za-z0-9_]*\}")
_PORT_VARIABLE = re.compile(r":\$\{[A-Za-z_][A-Za-z0-9_]*\}(?=[/?]|\Z)")
_ENDS_PASSWORD = re.compile(r"[@/?#\[\]\s]")
_SECRET_IN_QUERY = re.compile(r"pass|secret|token|key", re.IGNORECASE)


def resolve_url(url: str, *, source: str, environment: Mapping[str, str] | None = None) -> str:
    """``url`` with ``env:NAME`` and ``${NAME}`` filled in. Raises ConfigurationInvalid for a missing variable."""
    values = os.environ if environment is None else environment

    def value(name: str) -> str:
        if not values.get(name):
            raise ConfigurationInvalid(
                f"source {source!r} takes its address from the environment variable {name}, which is not set"
            )
        return values[name]

    if url.startswith("env:"):
        return value(url.removeprefix("env:").strip())

    def part(match: re.Match[str]) -> str:
        found = value(match[1])
        # A password stands in the environment as it is, and would end where an address has a meaning for its "@".
        is_of_user = "@" in url[match.end() :] and _ENDS_PASSWORD.search(found)
        return quote(found, safe=":") if is_of_user else found

    return _VARIABLE.sub(part, url)


def refuse_password(url: str, *, source: str) -> None:
    """Raise ConfigurationInvalid for a database's address that is none, or that holds a password itself."""
    if url.startswith("env:") or _WHOLE_VARIABLE.fullmatch(url):
        return
    try:
        parsed = make_url(_PORT_VARIABLE.sub(":1", url))
    except (ArgumentError, ValueError):
        raise ConfigurationInvalid(
            f"source {source!r}: the url is not a SQLAlchemy URL; give "
            "`postgresql+psycopg2://user:${PASSWORD}@host/database`, `sqlite:////folder/file.db` or `env:NAME`"
        ) from None
    options = (str(value) for name, value in parsed.query.items() if _SECRET_IN_QUERY.search(name))
    if any(word and not _VARIABLE.search(word) for word in (parsed.password, *options)):
        raise ConfigurationInvalid(
            f"source {source!r}: a password stands in the file; put the address into an environment variable and "
            'write url = "env:NAME"'
        )
