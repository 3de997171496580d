"""Proving that no temporary URL is left."""
