"""Proposing a configuration for a database or a folder."""
