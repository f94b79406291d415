"""What can be done with files, wherever they are."""

from __future__ import annotations

import glob
import os
from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final, Literal

import pyarrow as pa

SUFFIX: Final = ".parquet"

Kind = Literal["file", "folder"]


class Storage(ABC):
    """A place for files. Calls raise OSError where the place does not let us."""

    @abstractmethod
    def kind(self, path: str) -> Kind | None:
        """What stands there, or None."""

    @abstractmethod
    def absolute(self, path: str) -> str:
        """The path or pattern, independent of the working folder; URIs are returned unchanged."""

    @abstractmethod
    def find(self, folder: str) -> list[str]:
        """Every file in a folder and its folders: paths relative to it."""

    @abstractmethod
    def match(self, pattern: str) -> list[str]:
        """Every file that a glob pattern names; ``**`` stands for any number of folders."""

    @abstractmethod
    def state(self, path: str) -> tuple[object, ...]:
        """What differs once a file was written anew; FileNotFoundError where there is none."""

    @abstractmethod
    def open(self, path: str) -> pa.NativeFile:
        """A file, to read any part of it."""

    @abstractmethod
    def reading(self, path: str) -> AbstractContextManager[str]:
        """A name on this machine under which a file can be read as often as need be."""

    @abstractmethod
    def writing(self, path: str) -> AbstractContextManager[str]:
        """A name on this machine to write a file under, which is complete once this ends well."""

    @abstractmethod
    def reading_folder(self, path: str) -> Path:
        """A folder of this machine with the files that stand in a folder, not those of its folders.

        It is there until this process ends.
        """

    @abstractmethod
    def writing_folder(self, path: str, last: str) -> AbstractContextManager[Path]:
        """A folder of this machine to write files in, which is complete once this ends well.

        Args:
            path: The folder; none may be there.
            last: The file in it without which readers take it for incomplete: it is written last.
        """

    @abstractmethod
    def delete(self, path: str) -> None:
        """Remove a file, if there is one."""

    @abstractmethod
    def lock(self, output: str) -> AbstractContextManager[None]:
        """Keep other runs away from an output, and remove what dead ones left there.

        Raises:
            OutputInUseError: Another run is at work there.
        """

    def write_text(self, path: str, text: str) -> None:
        """Write a text file, as UTF-8."""
        with self.writing(path) as name:
            Path(name).write_text(text, encoding="utf-8", newline="\n")

    def read_text(self, path: str) -> str:
        """What a text file holds, in UTF-8."""
        with self.open(path) as file:
            return bytes(file.read()).decode()


def static_part(pattern: str) -> str:
    """The folder in front of a pattern's first wildcard."""
    folder = os.path.dirname(pattern)
    while glob.has_magic(folder):
        folder = os.path.dirname(folder)
    return folder
