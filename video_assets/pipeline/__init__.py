"""The Dagster definitions. Thin: they translate, call one function of the domain, and report.

``partitions`` is the one home of key grammar, ``choices`` holds the pure functions that decide what sensors ask
for, ``reports`` turns rows into metadata, ``presentation`` holds owners, tags and table schemas; the others hold
one Dagster concept each. :mod:`video_assets.definitions` puts them together.
"""
