"""Durable storage: one protocol, one class per kind of store, one place that builds URLs."""
