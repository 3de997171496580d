"""Findings into the catalog, and into batches."""
