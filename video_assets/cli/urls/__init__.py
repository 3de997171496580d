"""Commands about single URLs and documents."""
