"""Labeled reviews: sources, downloads and readers."""
