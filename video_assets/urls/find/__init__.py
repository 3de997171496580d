"""Finding URLs in documents, and replacing them."""
