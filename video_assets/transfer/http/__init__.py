"""HTTP/1.1 over checked connections."""
