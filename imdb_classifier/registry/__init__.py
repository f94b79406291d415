"""The model registry: versions, aliases and decisions."""
