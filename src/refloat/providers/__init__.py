"""What does the work, and where checkpoints are kept: providers, their files, their banks."""
