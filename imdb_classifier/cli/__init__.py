"""The command line."""

from imdb_classifier.cli.app import app, main

__all__ = ["app", "main"]
