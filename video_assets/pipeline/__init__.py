"""The Dagster definitions. Thin: they translate, call one function of the domain, and report.

``partitions`` is the one home of key grammar, ``choices`` holds the pure functions that decide what sensors ask
for, ``reports`` turns rows into metadata; the other modules hold one Dagster concept each.
"""

import warnings

import dagster as dg

# Partitioned checks and backfill policies are marked so in Dagster 1.13. Our tests show that they work, and
# otherwise every process of every run repeats the warnings.
warnings.filterwarnings("ignore", category=dg.BetaWarning)
warnings.filterwarnings("ignore", category=dg.PreviewWarning)
warnings.filterwarnings("ignore", message="Parameter `partitions_def` of function `define_asset_job`")
