"""Evaluation of a model, and the decision whether it may replace another."""
