"""The key of a source's row, and its written form, which says exactly which row was meant."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from video_assets.legacy.errors import NoUsableKey

Key = tuple[Any, ...]
"""Primary key values of one row, as the driver gives and takes them."""


_compact = json.JSONEncoder(separators=(",", ":")).encode


def encode_key(key: Sequence[Any]) -> str:
    """Key values as a JSON list, the form that findings and the ledger keep. Reversible with ``decode_key``."""
    if len(key) == 1 and type(key[0]) is int:  # the usual key, and a later pass encodes that of every row
        return f"[{key[0]}]"
    return _compact([_encode(value) for value in key])


def decode_key(text: str) -> Key:
    """The key values back. Raises ValueError for text that ``encode_key`` did not make."""
    values = json.loads(text)
    if not isinstance(values, list):
        raise ValueError("a row key is a JSON list")
    return tuple(_decode(value) for value in values)


def _encode(value: Any) -> Any:
    if isinstance(value, int | str) or value is None:
        return value
    match value:
        case float():
            return value
        case bytes() | bytearray() | memoryview():
            return {"hex": bytes(value).hex()}
        case datetime():
            return {"datetime": value.isoformat()}
        case date():
            return {"date": value.isoformat()}
        case Decimal():
            return {"decimal": str(value)}
        case UUID() | time():
            return str(value)
        case timedelta():
            return {"microseconds": value // timedelta(microseconds=1)}
        case _:
            raise NoUsableKey(
                f"its key has a column of the type {type(value).__name__}, by which rows cannot be told apart "
                "exactly; name other columns: key = [...]"
            )


def _decode(value: Any) -> Any:
    match value:
        case {"hex": str(text)}:
            return bytes.fromhex(text)
        case {"datetime": str(text)}:
            return datetime.fromisoformat(text)
        case {"date": str(text)}:
            return date.fromisoformat(text)
        case {"microseconds": int(number)}:
            return timedelta(microseconds=number)
        case {"decimal": str(text)}:
            return Decimal(text)
        case _:
            return value
