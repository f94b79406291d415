"""Files on the file systems of this machine.

File names that are not valid UTF-8 are strings with lone surrogates, as in Python (PEP 383).
"""

from __future__ import annotations

import glob
import os
import shutil
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from secrets import token_hex
from typing import Final

import pyarrow as pa
from filelock import FileLock, Timeout

from imdb_classifier.errors import OutputInUseError, UnreadableFileError
from imdb_classifier.storage.base import ABSENT, SUFFIX, Kind, Listing, State, Storage, static_part
from imdb_classifier.storage.walk import list_files

_LOCK_FILE: Final = ".imdb_classifier.lock"

_UNFINISHED: Final = ".unfinished"

_LONGEST_STEM: Final = 255 - len(f"..{'0' * 8}{_UNFINISHED}")
"""In bytes. Most file systems limit names to 255 bytes."""


class LocalStorage(Storage):
    """The file systems of this machine."""

    def kind(self, path: str) -> Kind | None:
        if os.path.isdir(path):
            return "folder"
        return "file" if Path(path).exists() else None

    def absolute(self, path: str) -> str:
        return str(Path(path).absolute())

    def find(self, folder: str) -> Listing:
        return list_files(folder)

    def match(self, pattern: str) -> Listing:
        root = static_part(pattern)
        if root and not os.path.isdir(root):
            return Listing.of()
        return list_files(root, os.path.relpath(pattern, root or "."))

    def state(self, path: str) -> State:
        try:
            found = os.stat(path)
        except (FileNotFoundError, NotADirectoryError):
            return ABSENT
        return found.st_ino, found.st_size, found.st_mtime_ns

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
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        unfinished = target.with_name(f".{_stem(target.name)}.{token_hex(4)}{_UNFINISHED}")
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
        # A killed process leaves its folder behind. In a container, the next process has the same
        # id and replaces it.
        unfinished = target.with_name(f".{target.name}.{os.getpid()}{_UNFINISHED}")
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

    def delete_folder(self, path: str, first: str) -> None:
        self.delete(f"{path}/{first}")
        with suppress(FileNotFoundError):
            shutil.rmtree(path)

    @contextmanager
    def lock(self, output: str) -> Iterator[None]:
        target = Path(output)
        is_file = output.endswith(SUFFIX) and not target.is_dir()
        folder = target.parent if is_file else target
        lock = folder / (f".{_stem(target.name)}.lock" if is_file else _LOCK_FILE)
        name = glob.escape(_stem(target.name)) if is_file else "*"
        unfinished = f".{name}.{'[0-9a-f]' * 8}{_UNFINISHED}"
        leftovers = folder.glob if is_file else folder.rglob
        made = not folder.exists()
        folder.mkdir(parents=True, exist_ok=True)
        try:
            with _locked(lock, output):
                before = set() if is_file else _folders_in(folder)
                _remove(leftovers(unfinished))
                try:
                    yield
                finally:
                    # Workers on other machines that wrote for this run may have died.
                    _remove(leftovers(unfinished))
                    if not is_file:
                        _remove_empty(_folders_in(folder) - before)
        finally:
            if made:
                _remove_empty({folder})


def _stem(name: str) -> str:
    """Return what stands for a file's name in that of a temporary one, which is longer."""
    encoded = os.fsencode(name)
    return name if len(encoded) <= _LONGEST_STEM else sha256(encoded).hexdigest()


def _folders_in(folder: Path) -> set[Path]:
    return {Path(parent, name) for parent, names, _ in os.walk(folder) for name in names}


@contextmanager
def _locked(lock: Path, output: str) -> Iterator[None]:
    """Hold a lock that is released when this process ends, even if it is killed."""
    try:
        # Without flock, filelock would fall back to a lock that outlives a killed process.
        held = FileLock(lock, timeout=0, thread_local=False, fallback_to_soft=False).acquire()
    except Timeout:
        raise OutputInUseError(output) from None
    with held:
        try:
            yield
        finally:
            # Deleted while it is held, because filelock does not accept a lock on a deleted file.
            # Windows cannot delete an open file; there, filelock deletes it.
            with suppress(PermissionError):
                lock.unlink(missing_ok=True)


def _flush(path: Path) -> None:
    """Wait until the contents of a file, or the entries of a folder, are on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove(files: Iterable[Path]) -> None:
    for file in files:
        file.unlink(missing_ok=True)


def _remove_empty(folders: Iterable[Path]) -> None:
    for folder in sorted(folders, reverse=True):
        with suppress(OSError):  # not empty
            folder.rmdir()
