"""Errors for a registry that cannot be read or written."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from imdb_classifier.errors import CannotWriteError, UnavailableError

REGISTRY_VARIABLE: Final = "IMDB_CLASSIFIER_REGISTRY"

_WAY_OUT: Final = (
    f"Check your permissions, or choose another one with `registry` or {REGISTRY_VARIABLE}."
)


@contextmanager
def reading(folder: str) -> Iterator[None]:
    """Raise an error that names the folder if reading fails.

    Raises:
        UnavailableError: The registry cannot be read.
    """
    try:
        yield
    except OSError as error:
        raise UnavailableError(
            "The registry must be readable.",
            f"Reading {folder} failed: {error.strerror or error}.",
            _WAY_OUT,
        ) from error


@contextmanager
def writing(folder: str) -> Iterator[None]:
    """Raise an error that names the folder if writing fails.

    Raises:
        CannotWriteError: The registry cannot be written.
    """
    try:
        yield
    except OSError as error:
        raise CannotWriteError(
            "The registry must be writable.",
            f"Writing to {folder} failed: {error.strerror or error}.",
            _WAY_OUT,
        ) from error
