"""What one URL is, when it dies, and which file it names."""
