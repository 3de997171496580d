"""Databases outside the catalog that are full of temporary URLs: discover, report, rescue, rewrite, prove."""
