"""Where files are: on this machine or in an object store, behind the same few calls.

What is written is complete or absent, whatever happens meanwhile. Paths are strings as users write
them, with forward slashes.
"""

from __future__ import annotations

import os
from functools import lru_cache
from typing import Final

from pyarrow import fs

from imdb_classifier.storage.base import SUFFIX, Kind, Storage, static_part
from imdb_classifier.storage.damage import readable
from imdb_classifier.storage.local import LocalStorage
from imdb_classifier.storage.object_store import OBJECT_STORE, ObjectStorage

__all__ = [
    "OBJECT_STORE",
    "SUFFIX",
    "Kind",
    "LocalStorage",
    "Storage",
    "object_storage",
    "readable",
    "static_part",
    "storage_of",
]

_LOCAL: Final = LocalStorage()


def storage_of(path: str) -> Storage:
    """The storage that a path lies in."""
    return object_storage() if path.startswith(OBJECT_STORE) else _LOCAL


@lru_cache(maxsize=1)
def object_storage() -> ObjectStorage:
    """The object store, reached with the endpoint, region and credentials of AWS' variables."""
    # pyarrow reads all of the usual variables but these.
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    return ObjectStorage(fs.S3FileSystem(endpoint_override=endpoint))
