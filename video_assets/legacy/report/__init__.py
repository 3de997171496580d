"""What is at risk, and until when."""
