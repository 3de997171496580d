"""A URL in, a verified file in the spool out."""
