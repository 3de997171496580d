"""The legacy workflow in Dagster."""
