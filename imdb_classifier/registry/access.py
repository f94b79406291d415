"""Names of a registry, and errors if it cannot be read or written, or another run changed it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Final

from imdb_classifier.errors import CannotWriteError, ImdbClassifierError, UnavailableError

REGISTRY_VARIABLE: Final = "IMDB_CLASSIFIER_REGISTRY"
CHAMPION: Final = "@champion"
"""The model that scores by default."""


class ChampionChangedError(CannotWriteError):
    """Another run has changed the champion, which this one was about to replace.

    Attributes:
        expected: The id of the champion before.
        found: The id of the champion now.
    """

    may_pass = True

    def __init__(self, expected: str, found: str) -> None:
        self.expected, self.found = expected, found
        super().__init__(
            "A champion is only replaced while it is the one that was found at the start.",
            f"It was {expected}; another run has made it {found}.",
            "List the models with `imdb-classifier models list`, and try again.",
        )


def reading(folder: str) -> AbstractContextManager[None]:
    """Raise an error that names the folder if reading fails.

    Raises:
        UnavailableError: The registry cannot be read.
    """
    return _named(UnavailableError, "readable", f"Reading {folder}")


def writing(folder: str) -> AbstractContextManager[None]:
    """Raise an error that names the folder if writing fails.

    Raises:
        CannotWriteError: The registry cannot be written.
    """
    return _named(CannotWriteError, "writable", f"Writing to {folder}")


@contextmanager
def _named(kind: type[ImdbClassifierError], able: str, attempt: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise kind(
            f"The registry must be {able}.",
            f"{attempt} failed: {error.strerror or error}.",
            "Check your permissions, or choose another one with `registry` or "
            f"{REGISTRY_VARIABLE}.",
        ) from error
