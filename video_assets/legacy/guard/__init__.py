"""Triggers that refuse temporary URLs."""
