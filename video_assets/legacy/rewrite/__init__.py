"""Replacing URLs in place, with ledger and undo."""
