"""Files on this machine or in an object store, behind one interface.

A write is complete or absent, even if the process is killed. Paths are strings as users write them,
with forward slashes.
"""

from __future__ import annotations

import os
import re
from functools import lru_cache
from typing import Final

from pyarrow import fs

from imdb_classifier.errors import UnknownSchemeError
from imdb_classifier.storage.base import (
    ABSENT,
    SUFFIX,
    Found,
    Kind,
    Listing,
    State,
    Storage,
    matches,
    static_part,
)
from imdb_classifier.storage.damage import readable
from imdb_classifier.storage.local import LocalStorage
from imdb_classifier.storage.object_store import OBJECT_STORE, ObjectStorage

__all__ = [
    "ABSENT",
    "OBJECT_STORE",
    "SUFFIX",
    "Found",
    "Kind",
    "Listing",
    "LocalStorage",
    "State",
    "Storage",
    "matches",
    "object_storage",
    "readable",
    "static_part",
    "storage_of",
]

_LOCAL: Final = LocalStorage()
_URI: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


def storage_of(path: str) -> Storage:
    """Return the storage that a path belongs to.

    Raises:
        UnknownSchemeError: It is a URI that does not start with ``s3://``.
    """
    if path.startswith(OBJECT_STORE):
        return object_storage()
    # As a path on this machine, it would be a folder that is called "gs:".
    if _URI.match(path):
        raise UnknownSchemeError(
            "A path must be on this machine or start with s3://.",
            f"It is {path}.",
            "Mount the storage, or copy the files; for s3a:// write s3://, for file:// the path.",
        )
    return _LOCAL


@lru_cache(maxsize=1)
def object_storage() -> ObjectStorage:
    """Return the object store, with endpoint, region and credentials from AWS' variables."""
    # pyarrow reads all of the usual variables except these two.
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    return ObjectStorage(fs.S3FileSystem(endpoint_override=endpoint))
