"""``python -m imdb_classifier`` is the command line."""

from imdb_classifier.cli import main

# Not in the processes of a pool, which import this file too.
if __name__ == "__main__":
    main()
