"""What is wrong with the installation, or with one generation."""
