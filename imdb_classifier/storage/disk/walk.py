"""The files below a folder of this machine."""

from __future__ import annotations

import os
import posixpath
from errno import ELOOP
from typing import Final

from imdb_classifier.storage.base import Listing, leads_to, matches

_LOOP: Final = "is a symbolic link that leads back to itself or to a folder around it"
_NOTHING: Final = "is a symbolic link to nothing"
_SPECIAL: Final = "is not a regular file"


def list_files(root: str, pattern: str = "**", *, skip_unreadable: bool = False) -> Listing:
    """List the files below a folder; symbolic links count as what they lead to.

    Nothing is opened, because opening a pipe could block forever.

    Args:
        root: The folder; empty for the working folder.
        pattern: A glob pattern relative to it. No folder is read that cannot hold a match.
        skip_unreadable: Leave out subfolders that cannot be read.

    Raises:
        OSError: A folder cannot be read.
    """
    names: list[str] = []
    ignored: dict[str, str] = {}
    folders: list[str] = []
    pending: list[tuple[str, frozenset[tuple[int, int]]]] = [("", frozenset())]
    while pending:
        name, above = pending.pop()
        folder = os.path.join(root, name) if name else root or "."
        status = os.stat(folder)
        inode = (status.st_dev, status.st_ino)
        if inode in above:
            ignored[name] = _LOOP
            continue
        try:
            found = os.scandir(folder)
        except PermissionError:
            if skip_unreadable and name:
                continue
            raise
        with found as entries:
            for entry in entries:
                inner = posixpath.join(name, entry.name)
                try:
                    is_folder, is_file = entry.is_dir(), entry.is_file()
                except OSError as error:
                    if error.errno != ELOOP:
                        raise
                    ignored[inner] = _LOOP
                    continue
                folders += [inner] if is_folder else []
                if not (leads_to if is_folder else matches)(inner, pattern):
                    continue
                if is_folder:
                    pending.append((inner, above | {inode}))
                elif is_file:
                    names.append(inner)
                elif os.path.exists(entry.path):
                    ignored[inner] = _SPECIAL
                elif entry.is_symlink():  # else deleted meanwhile
                    ignored[inner] = _NOTHING
    return Listing.of(names, ignored, folders)
