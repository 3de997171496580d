"""The partitions: one generation, one key; one legacy source, one key; one batch of a source, one key.

The key grammar, adding and retiring live here and nowhere else.

Dagster throws its cached partition status away whenever a key is added (0.4 s to rebuild at 10,000 keys, 4 s at
100,000), so the keys are a live window. The catalog remembers for ever.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice

import dagster as dg

CHUNK = 5_000
"""Keys per call: one call is one SQL statement with a variable per key, and SQLite allows 32,766 of them."""

generation_requests = dg.DynamicPartitionsDefinition(name="generation_requests")

legacy_sources = dg.DynamicPartitionsDefinition(name="legacy_sources")
"""The names of the configuration file's sources."""

legacy_batches = dg.DynamicPartitionsDefinition(name="legacy_batches")
"""``source:000123``: 1,000 findings or so, so that ten million of them are ten thousand partitions."""


def add_keys(
    instance: dg.DagsterInstance,
    keys: Iterable[str],
    definition: dg.DynamicPartitionsDefinition = generation_requests,
) -> int:
    """Make every key a partition that is not one yet, in chunks; returns how many were given."""
    iterator, count = iter(keys), 0
    while chunk := list(islice(iterator, CHUNK)):
        instance.add_dynamic_partitions(str(definition.name), chunk)
        count += len(chunk)
    return count


def retire_keys(
    instance: dg.DagsterInstance,
    keys: Sequence[str],
    definition: dg.DynamicPartitionsDefinition = generation_requests,
) -> int:
    """Remove keys from the live window. Their events and metadata stay in Dagster's event log."""
    live = set(instance.get_dynamic_partitions(str(definition.name)))
    gone = [key for key in keys if key in live]
    for key in gone:
        instance.delete_dynamic_partition(str(definition.name), key)
    return len(gone)


def batch_source(key: str) -> str:
    """The source of a batch's key."""
    return key.rpartition(":")[0]
