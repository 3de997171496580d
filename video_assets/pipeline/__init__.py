"""The Dagster definitions. Thin: they translate, call one function of the domain, and report.

``partitions`` is the one home of key grammar, ``choices`` holds the pure functions that decide what sensors ask
for, ``reports`` turns rows into metadata; the other modules hold one Dagster concept each.
"""
