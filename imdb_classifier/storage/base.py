"""The interface of a storage, whether it is a local file system or an object store."""

from __future__ import annotations

import glob
import posixpath
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from hashlib import sha256
from pathlib import Path
from typing import Final, Literal, Self

import pyarrow as pa

from imdb_classifier.errors import OutputExistsError

SUFFIX: Final = ".parquet"

_PROBE: Final = ".writable"
_BLOCK_BYTES: Final = 1 << 20

Kind = Literal["file", "folder"]

State = tuple[object, ...]
"""What tells one version of a file from the next, see `Storage.state`."""

ABSENT: Final[State] = ()
"""The state of a path where there is no file."""


@dataclass(frozen=True)
class Listing:
    """What is below a folder.

    Attributes:
        names: The files, sorted, as paths relative to the folder.
        ignored: Names that cannot be used, sorted, each with the reason, as the end of a sentence
            that begins with the name.
        folders: The folders, whether or not there are files for the listing in them.
    """

    names: tuple[str, ...]
    ignored: Mapping[str, str]
    folders: frozenset[str]

    @classmethod
    def of(
        cls,
        names: Iterable[str] = (),
        ignored: Mapping[str, str] | None = None,
        folders: Iterable[str] = (),
    ) -> Self:
        """Return a sorted listing."""
        return cls(tuple(sorted(names)), dict(sorted((ignored or {}).items())), frozenset(folders))


class Storage(ABC):
    """A place for files. Methods raise OSError if the system or the server refuses an operation."""

    @abstractmethod
    def kind(self, path: str) -> Kind | None:
        """Return whether a path is a file or a folder; None if it does not exist."""

    @abstractmethod
    def absolute(self, path: str) -> str:
        """Return a path or pattern independent of the working folder; URIs stay unchanged."""

    @abstractmethod
    def find(self, folder: str, *, skip_unreadable: bool = False) -> Listing:
        """Return all files in a folder and its subfolders.

        Args:
            folder: The folder.
            skip_unreadable: Leave out subfolders that cannot be read, instead of raising OSError.
        """

    @abstractmethod
    def match(self, pattern: str) -> Listing:
        """Return all files that match a glob pattern; ``**`` matches any number of folders.

        Names are relative to the pattern's `static_part`; there are none if that does not exist.
        """

    @abstractmethod
    def state(self, path: str) -> State:
        """Return values that change when a file is rewritten; `ABSENT` if there is no file."""

    @abstractmethod
    def last_written(self, path: str) -> int:
        """Return when a file was written, or files were added to a folder.

        In nanoseconds since 1970; 0 for a folder in an object store, and if there is nothing.
        """

    @abstractmethod
    def open(self, path: str) -> pa.NativeFile:
        """Open a file for random access."""

    @abstractmethod
    def reading(self, path: str) -> AbstractContextManager[str]:
        """Provide a local path to read a file from, any number of times."""

    @abstractmethod
    def writing(self, path: str, expected: State | None = None) -> AbstractContextManager[str]:
        """Provide a local path to write a file to; it is stored on exit, unless there is an error.

        Until then, readers see the previous file, if there is one.

        Args:
            path: Where the file is stored.
            expected: The `state` of the file that may be replaced, or `ABSENT`; None to replace
                whatever is there.

        Raises:
            OutputExistsError: Something else has been stored there meanwhile.
        """

    @abstractmethod
    def reading_folder(self, path: str) -> Path:
        """Return a local folder with the files of a folder, but not those in its subfolders.

        The folder is kept until this process ends.
        """

    @abstractmethod
    def writing_folder(self, path: str, last: str) -> AbstractContextManager[Path]:
        """Provide a local folder to write to; it is stored on exit, unless there is an error.

        Args:
            path: The folder, which must not exist yet.
            last: The file to write last; readers consider the folder incomplete without it.
        """

    @abstractmethod
    def delete(self, path: str) -> None:
        """Delete a file, if it exists."""

    @abstractmethod
    def delete_folder(self, path: str) -> None:
        """Delete a folder with everything in it, if it exists."""

    @abstractmethod
    def lock(
        self, output: str, side_files: Sequence[str] | None = None
    ) -> AbstractContextManager[None]:
        """Lock an output against other runs, and delete what interrupted runs left there.

        Args:
            output: A folder; or a file, if there are side files.
            side_files: Other files that a run of a single file may write; None for a folder.

        Raises:
            OutputInUseError: Another run is writing to it, or to an output that overlaps with it.
        """

    def check_state(self, path: str, expected: State | None) -> None:
        """Make sure that a file may be replaced, see `writing`.

        Raises:
            OutputExistsError: Something else has been stored there meanwhile.
        """
        if expected is not None and self.state(path) != expected:
            raise OutputExistsError(
                path,
                "another program wrote it during this run",
                "Rerun, or choose another `output`.",
            )

    def check_writable(self, folder: str) -> None:
        """Check that files can be written to a folder, by writing an empty one and deleting it."""
        probe = f"{folder}/{_PROBE}"
        self.write_text(probe, "")
        self.delete(probe)

    def write_text(self, path: str, text: str, expected: State | None = None) -> None:
        """Write a text file, as UTF-8, see `writing`."""
        self.write_pieces(path, (text,), expected)

    def write_pieces(self, path: str, pieces: Iterable[str], expected: State | None = None) -> None:
        """Write a text file piece by piece, see `write_text`."""
        with (
            self.writing(path, expected) as name,
            open(name, "w", encoding="utf-8", newline="\n") as file,
        ):
            file.writelines(pieces)

    def has_text(self, path: str, pieces: Iterable[str]) -> bool:
        """Return whether there is a file of this text, with neither in memory as a whole."""
        if self.kind(path) != "file":
            return False
        expected, found = sha256(), sha256()
        for piece in pieces:
            expected.update(piece.encode())
        with self.open(path) as file:
            while block := file.read(_BLOCK_BYTES):
                found.update(block)
        return found.digest() == expected.digest()

    def read_text(self, path: str) -> str:
        """Return the text of a UTF-8 file."""
        with self.open(path) as file:
            return bytes(file.read()).decode()


def static_part(pattern: str) -> str:
    """Return the folder in front of a pattern's first wildcard."""
    folder = posixpath.dirname(pattern)
    while glob.has_magic(folder):
        folder = posixpath.dirname(folder)
    return folder


def matches(path: str, pattern: str) -> bool:
    """Return whether a relative path matches a glob pattern; ``**`` means any number of folders."""
    return _parts_match(path.split("/"), pattern.split("/"))


def leads_to(folder: str, pattern: str) -> bool:
    """Return whether a path below a relative folder can match a glob pattern."""
    return _parts_lead(folder.split("/"), pattern.split("/"))


def _parts_match(parts: Sequence[str], pattern: Sequence[str]) -> bool:
    if not pattern:
        return not parts
    if pattern[0] == "**":
        rest = pattern[1:]
        return _parts_match(parts, rest) or (bool(parts) and _parts_match(parts[1:], pattern))
    return (
        bool(parts) and fnmatchcase(parts[0], pattern[0]) and _parts_match(parts[1:], pattern[1:])
    )


def _parts_lead(parts: Sequence[str], pattern: Sequence[str]) -> bool:
    if not parts or not pattern:
        return bool(pattern)
    return pattern[0] == "**" or (
        fnmatchcase(parts[0], pattern[0]) and _parts_lead(parts[1:], pattern[1:])
    )
