"""These tests live in the same world as those of the saga."""

from tests.saga.conftest import emulator, world

__all__ = ["emulator", "world"]
