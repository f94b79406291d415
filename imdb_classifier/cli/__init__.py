"""The command line."""

from imdb_classifier.cli.program import main

__all__ = ["main"]
