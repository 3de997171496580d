"""What a file is: container, codec, facts, poster and preview. Knows files, nothing else."""
