"""The two demonstrations."""
