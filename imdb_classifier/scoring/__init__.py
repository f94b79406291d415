"""Scoring in memory: texts in, labels and probabilities out."""
