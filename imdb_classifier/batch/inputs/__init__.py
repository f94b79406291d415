"""Input files: which ones there are, and their rows."""
