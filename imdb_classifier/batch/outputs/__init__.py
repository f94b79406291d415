"""Scored files, and what is written beside them."""
