"""Finding temporary URLs in rows and files."""
