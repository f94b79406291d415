"""Paths as users give them, and as the rest of the code has them."""

from __future__ import annotations

import os
import re
from typing import Final

from imdb_classifier.errors import ConfigurationError

StrPath = str | os.PathLike[str]
"""A path on this machine, or as a string also a URI such as ``s3://bucket/reviews``."""

_COLLAPSED_URI: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/(?!/)")


def to_str(path: StrPath) -> str:
    """A path as a string.

    Raises:
        ConfigurationError: It is a URI that `pathlib` has taken one slash from, so that it would
            name a folder on this machine.
    """
    name = os.fspath(path)
    if not isinstance(path, str) and _COLLAPSED_URI.match(name):
        raise ConfigurationError(
            "A URI must be given as a string; pathlib.Path turns its two slashes into one.",
            f"The path is {name}.",
            "Pass the URI itself, without Path(...).",
        )
    return name
