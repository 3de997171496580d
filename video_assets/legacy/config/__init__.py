"""A legacy source, from TOML to models."""
