"""A Dagster project of somebody else, which merges video_assets into its own definitions."""
