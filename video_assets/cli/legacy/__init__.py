"""Commands about legacy sources."""
