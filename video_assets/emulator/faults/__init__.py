"""A media server that fails on demand."""
