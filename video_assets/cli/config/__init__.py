"""Settings: what is in force, and their documentation."""
