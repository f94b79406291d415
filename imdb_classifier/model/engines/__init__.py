"""Engines: token ids in, probabilities out."""
