"""Example databases, filled for demonstrations and tests."""
