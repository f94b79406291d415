"""Where files are: on this machine or in an object store, behind the same few calls.

What is written is complete or absent, whatever happens meanwhile. On this machine it stands under
another name until it is. An object store knows no renaming: what is read there is copied to this
machine first, and what goes there is sent in one piece once it is complete here.

Paths are strings as users write them, with forward slashes. Names on this machine may be bytes that
are no UTF-8; they come as Python has them (PEP 383).
"""

from __future__ import annotations

import fcntl
import glob
import os
import shutil
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from errno import ENOENT
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from secrets import token_hex
from typing import Final, Literal

import pyarrow as pa
from pyarrow import fs

from imdb_classifier.errors import OutputInUseError
from imdb_classifier.files import flush

OBJECT_STORE: Final = "s3://"
LOCK_FILE: Final = ".imdb_classifier.lock"

SUFFIX: Final = ".parquet"

_UNFINISHED: Final = ".unfinished"
_COPIES: Final = "imdb-classifier-"
_COPY_BYTES: Final = 1 << 23

Kind = Literal["file", "folder"]


class Storage(ABC):
    """A place for files. Calls raise OSError where the place does not let us."""

    @abstractmethod
    def kind(self, path: str) -> Kind | None:
        """What stands there, or None."""

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
    def delete(self, path: str) -> None:
        """Remove a file, if there is one."""

    @abstractmethod
    def alone(self, output: str) -> AbstractContextManager[None]:
        """Keep other runs away from an output, and remove what dead ones left there.

        Raises:
            OutputInUseError: Another run is at work there.
        """

    def write_text(self, path: str, text: str) -> None:
        """Write a text file, as UTF-8."""
        with self.writing(path) as name:
            Path(name).write_text(text, encoding="utf-8", newline="\n")


def storage_of(path: str) -> Storage:
    """The storage that a path lies in."""
    return _object_store() if path.startswith(OBJECT_STORE) else _LOCAL


class LocalStorage(Storage):
    """The file systems of this machine."""

    def kind(self, path: str) -> Kind | None:
        if os.path.isdir(path):
            return "folder"
        return "file" if Path(path).exists() else None

    def find(self, folder: str) -> list[str]:
        return [
            os.path.relpath(path, folder)
            for parent, _, names in os.walk(folder, onerror=_raise)
            for path in (os.path.join(parent, name) for name in names)
            # Reading a pipe would wait for ever.
            if os.path.isfile(path)
        ]

    def match(self, pattern: str) -> list[str]:
        return [path for path in glob.iglob(pattern, recursive=True) if Path(path).is_file()]

    def state(self, path: str) -> tuple[object, ...]:
        found = os.stat(path)
        return found.st_ino, found.st_size, found.st_mtime_ns

    def open(self, path: str) -> pa.NativeFile:
        # As bytes: pyarrow takes no other names that are no UTF-8.
        return pa.OSFile(os.fsencode(path))

    @contextmanager
    def reading(self, path: str) -> Iterator[str]:
        yield path

    @contextmanager
    def writing(self, path: str) -> Iterator[str]:
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        unfinished = target.with_name(f".{target.name}.{token_hex(4)}{_UNFINISHED}")
        try:
            yield str(unfinished)
            flush(unfinished)
            os.replace(unfinished, target)
            flush(target.parent)
        finally:
            unfinished.unlink(missing_ok=True)

    def delete(self, path: str) -> None:
        Path(path).unlink(missing_ok=True)

    @contextmanager
    def alone(self, output: str) -> Iterator[None]:
        target = Path(output)
        if output.endswith(SUFFIX) and not target.is_dir():
            lock, leftovers = target.with_name(f".{target.name}.lock"), target.parent.glob
            name = glob.escape(target.name)
        else:
            lock, leftovers = target / LOCK_FILE, target.rglob
            name = "*"
        made = not lock.parent.exists()
        lock.parent.mkdir(parents=True, exist_ok=True)
        try:
            with _locked(lock, output):
                for leftover in leftovers(f".{name}.{'[0-9a-f]' * 8}{_UNFINISHED}"):
                    leftover.unlink(missing_ok=True)
                yield
        finally:
            if made:
                with suppress(OSError):  # there is something in it
                    lock.parent.rmdir()


class ObjectStorage(Storage):
    """An S3-compatible object store. Credentials and region come from where AWS' tools look."""

    def __init__(self, filesystem: fs.FileSystem) -> None:
        self.filesystem = filesystem

    def kind(self, path: str) -> Kind | None:
        found = self.filesystem.get_file_info(_key(path))
        if found.is_file:
            return "file"
        return "folder" if found.type == fs.FileType.Directory else None

    def find(self, folder: str) -> list[str]:
        key = _key(folder)
        found = self.filesystem.get_file_info(fs.FileSelector(key, recursive=True))
        return [os.path.relpath(info.path, key) for info in found if info.is_file]

    def match(self, pattern: str) -> list[str]:
        root = static_part(pattern)
        wanted = os.path.relpath(_key(pattern), _key(root)).split("/")
        return [
            os.path.join(root, name) for name in self.find(root) if _named(name.split("/"), wanted)
        ]

    def state(self, path: str) -> tuple[object, ...]:
        found = self.filesystem.get_file_info(_key(path))
        if not found.is_file:
            raise FileNotFoundError(ENOENT, os.strerror(ENOENT), path)
        return found.size, found.mtime_ns

    def open(self, path: str) -> pa.NativeFile:
        return self.filesystem.open_input_file(_key(path))

    @contextmanager
    def reading(self, path: str) -> Iterator[str]:
        with _copies() as folder:
            copy = folder / "input"
            with self.filesystem.open_input_stream(_key(path)) as source, copy.open("wb") as target:
                shutil.copyfileobj(source, target, _COPY_BYTES)
            yield str(copy)

    @contextmanager
    def writing(self, path: str) -> Iterator[str]:
        with _copies() as folder:
            copy = folder / "output"
            yield str(copy)
            # In one call: a stream that ends between two leaves what it was given as an object.
            with pa.memory_map(str(copy)) as whole:
                content = whole.read_buffer()
                with self.filesystem.open_output_stream(_key(path)) as stream:
                    stream.write(content)

    def delete(self, path: str) -> None:
        with suppress(FileNotFoundError):
            self.filesystem.delete_file(_key(path))

    @contextmanager
    def alone(self, output: str) -> Iterator[None]:
        # There are no locks. Objects are whole whoever writes them, and `finish_run` makes sure
        # that all of them are of one model.
        yield


_LOCAL: Final = LocalStorage()


@lru_cache(maxsize=1)
def _object_store() -> ObjectStorage:
    # pyarrow reads all of the usual variables but these.
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    return ObjectStorage(fs.S3FileSystem(endpoint_override=endpoint))


def static_part(pattern: str) -> str:
    """The folder in front of a pattern's first wildcard."""
    folder = os.path.dirname(pattern)
    while glob.has_magic(folder):
        folder = os.path.dirname(folder)
    return folder


def _key(path: str) -> str:
    return path.removeprefix(OBJECT_STORE).rstrip("/")


def _named(parts: Sequence[str], pattern: Sequence[str]) -> bool:
    """Whether a glob pattern names a path; both come in the parts between their slashes."""
    if not pattern:
        return not parts
    if pattern[0] == "**":
        return _named(parts, pattern[1:]) or (bool(parts) and _named(parts[1:], pattern))
    return bool(parts) and fnmatchcase(parts[0], pattern[0]) and _named(parts[1:], pattern[1:])


@contextmanager
def _copies() -> Iterator[Path]:
    """A folder of this process' for copies; those of processes that are gone are removed."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_COPIES}[0-9]*-*"):
        if not _is_running(int(folder.name.split("-")[2])):
            shutil.rmtree(folder, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=f"{_COPIES}{os.getpid()}-") as ours:
        yield Path(ours)


def _is_running(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True


@contextmanager
def _locked(lock: Path, output: str) -> Iterator[None]:
    """Hold a lock that ends with the process that holds it, however that ends."""
    while True:
        descriptor = os.open(lock, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # The run before removes its lock at its end; a removed one keeps nobody out.
            if os.path.samestat(os.fstat(descriptor), os.stat(lock)):
                break
        except BlockingIOError:
            os.close(descriptor)
            raise OutputInUseError(output) from None
        except FileNotFoundError:
            pass
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
    try:
        yield
    finally:
        try:
            lock.unlink(missing_ok=True)
        finally:
            os.close(descriptor)


def _raise(error: OSError) -> None:
    raise error
