"""The command line, for ``python -m imdb_classifier``."""

from imdb_classifier.cli import main

# The processes of a pool import this file too, and must not run the command line.
if __name__ == "__main__":
    main()
