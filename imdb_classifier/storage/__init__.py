"""Files on this machine or in an object store, behind one interface.

A write is complete or absent, even if the process is killed. Locations are strings with forward
slashes, see `paths`.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from pyarrow import fs

from imdb_classifier.storage.base import (
    ABSENT,
    SUFFIX,
    Kind,
    Listing,
    State,
    Storage,
    matches,
    static_part,
)
from imdb_classifier.storage.clients import client
from imdb_classifier.storage.damage import is_fault, readable
from imdb_classifier.storage.disk.local import LocalStorage
from imdb_classifier.storage.object_store import ObjectStorage, key_of
from imdb_classifier.storage.paths import StrPath, is_remote, location_of

__all__ = [
    "ABSENT",
    "SUFFIX",
    "Kind",
    "Listing",
    "LocalStorage",
    "State",
    "Storage",
    "absolute_location",
    "filesystem_of",
    "is_fault",
    "is_remote",
    "matches",
    "object_storage",
    "readable",
    "static_part",
    "storage_of",
]

_LOCAL: Final = LocalStorage()


def storage_of(location: str) -> Storage:
    """Return the storage that a location belongs to.

    Raises:
        ConfigurationError: It is in Azure, and no storage account is named.
    """
    if not is_remote(location):
        return _LOCAL
    scheme, _, rest = location.partition("://")
    return object_storage(scheme, rest.partition("/")[0].partition("@")[2])


@lru_cache
def object_storage(scheme: str, host: str) -> ObjectStorage:
    """Return an object store, see `client`."""
    return ObjectStorage(client(scheme, host))


def absolute_location(path: StrPath) -> str:
    """Return the location that a user's path means, independent of the working folder."""
    location = location_of(path)
    return storage_of(location).absolute(location)


def filesystem_of(location: str) -> tuple[fs.FileSystem, str]:
    """Return the file system of a location, and the path in it, as pyarrow takes them."""
    storage = storage_of(location)
    if isinstance(storage, ObjectStorage):
        return storage.filesystem, key_of(location)
    return fs.LocalFileSystem(), location
