"""How errors say what was wrong with files."""

from __future__ import annotations

from imdb_classifier.errors import CannotWriteError, first_line


def cannot_write(target: str, error: OSError) -> CannotWriteError:
    """The error that says what an operating system's error means for an output."""
    return CannotWriteError(
        "The output must be writable.",
        f"Writing {target} failed: {error.strerror or first_line(error)}.",
        "Free some space, or name another OUTPUT.",
    )
