"""Checks of single scored files."""
