"""Paths and URIs as users pass them, and as strings."""

from __future__ import annotations

import os
import re
from typing import Final

from imdb_classifier.errors import ConfigurationError

StrPath = str | os.PathLike[str]
"""A path on this machine; a string may also be a URI, such as ``s3://bucket/reviews``."""

_COLLAPSED_URI: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/(?!/)")


def to_str(path: StrPath) -> str:
    """Return a path as a string.

    Raises:
        ConfigurationError: It is a `pathlib.Path` of a URI, which has lost a slash and would name
            a folder on this machine.
    """
    name = os.fspath(path)
    if not isinstance(path, str) and _COLLAPSED_URI.match(name):
        raise ConfigurationError(
            "A URI must be passed as a string; pathlib.Path removes one of its slashes.",
            f"The path is {name}.",
            "Pass the URI itself, without Path(...).",
        )
    return name
