"""The command line."""

from imdb_classifier.cli.app import main

__all__ = ["main"]
