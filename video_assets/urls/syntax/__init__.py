"""What a URL is written with: parts, escapes, tokens, times."""
