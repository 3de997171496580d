"""The live workflow in Dagster."""
