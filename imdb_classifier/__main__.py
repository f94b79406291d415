"""``python -m imdb_classifier`` is the command line."""

from imdb_classifier.cli import main

main()
