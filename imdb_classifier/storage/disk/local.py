"""Files on the file systems of this machine.

File names that are not valid UTF-8 are strings with lone surrogates, as in Python (PEP 383).
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

import pyarrow as pa

from imdb_classifier.errors import UnreadableFileError
from imdb_classifier.storage.base import ABSENT, Kind, Listing, State, Storage, static_part
from imdb_classifier.storage.disk.locks import lock_file, lock_folder, unfinished_name
from imdb_classifier.storage.disk.walk import list_files


class LocalStorage(Storage):
    """The file systems of this machine."""

    def kind(self, path: str) -> Kind | None:
        if os.path.isdir(path):
            return "folder"
        return "file" if Path(path).exists() else None

    def absolute(self, path: str) -> str:
        return Path(path).absolute().as_posix()

    def find(self, folder: str, *, skip_unreadable: bool = False) -> Listing:
        return list_files(folder, skip_unreadable=skip_unreadable)

    def match(self, pattern: str) -> Listing:
        root = static_part(pattern)
        if root and not os.path.isdir(root):
            return Listing.of()
        relative = os.path.relpath(pattern, root or ".").replace(os.sep, "/")
        return list_files(root, relative)

    def state(self, path: str) -> State:
        try:
            found = os.stat(path)
        except (FileNotFoundError, NotADirectoryError):
            return ABSENT
        return found.st_ino, found.st_size, found.st_mtime_ns

    def last_written(self, path: str) -> int:
        try:
            return os.stat(path).st_mtime_ns
        except (FileNotFoundError, NotADirectoryError):
            return 0

    def open(self, path: str) -> pa.NativeFile:
        # Opening a pipe would block until somebody writes to it, and a device may never end.
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise UnreadableFileError(path, "it is not a regular file")
        # As bytes, because pyarrow rejects strings for names that are not valid UTF-8.
        return pa.OSFile(os.fsencode(path))

    @contextmanager
    def reading(self, path: str) -> Iterator[str]:
        yield path

    @contextmanager
    def writing(self, path: str, expected: State | None = None) -> Iterator[str]:
        # Renaming to a link would replace the link, not the file that it leads to.
        target = Path(os.path.realpath(path) if os.path.islink(path) else path)
        target.parent.mkdir(parents=True, exist_ok=True)
        unfinished = target.with_name(unfinished_name(target.name))
        try:
            yield str(unfinished)
            _flush(unfinished)
            self.check_state(path, expected)
            if expected != ABSENT or not self._linked(unfinished, target):
                os.replace(unfinished, target)
            _flush(target.parent)
        finally:
            unfinished.unlink(missing_ok=True)

    def _linked(self, file: Path, target: Path) -> bool:
        """Give a file a second name, unless there is a file of that name."""
        try:
            os.link(file, target)
        except FileExistsError:
            self.check_state(str(target), ABSENT)
            raise
        except OSError:  # The file system may have no links.
            return False
        return True

    def reading_folder(self, path: str) -> Path:
        return Path(path)

    @contextmanager
    def writing_folder(self, path: str, last: str) -> Iterator[Path]:
        target = Path(path)
        # A killed process leaves its folder behind, until what is around it is pruned. In a
        # container, the next process has the same id and replaces it.
        unfinished = target.with_name(f".{target.name}.{os.getpid()}.unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        try:
            yield unfinished
            for written in (*unfinished.iterdir(), unfinished):
                _flush(written)
            unfinished.rename(target)
            _flush(target.parent)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)

    def delete(self, path: str) -> None:
        Path(path).unlink(missing_ok=True)

    def delete_folder(self, path: str) -> None:
        with suppress(FileNotFoundError):
            shutil.rmtree(path)

    def check_writable(self, folder: str) -> None:
        missing = [path for path in (Path(folder), *Path(folder).parents) if not path.exists()]
        super().check_writable(folder)
        for path in missing:
            with suppress(OSError):  # in use meanwhile
                path.rmdir()

    def lock(
        self, output: str, side_files: Sequence[str] | None = None
    ) -> AbstractContextManager[None]:
        return lock_folder(output) if side_files is None else lock_file(output, side_files)


def _flush(path: Path) -> None:
    """Wait until the contents of a file, or the entries of a folder, are on disk."""
    is_folder = path.is_dir()
    if is_folder and not hasattr(os, "O_DIRECTORY"):
        return  # Windows does not open folders.
    # Windows flushes only files that are open for writing.
    descriptor = os.open(path, os.O_RDONLY if is_folder else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
