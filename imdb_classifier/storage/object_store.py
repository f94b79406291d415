"""Files in an object store: S3 and what is compatible with it, Google Cloud Storage, or Azure.

Files to score are read as a stream; where a file on this machine is needed, it is copied first.
Files to write are uploaded in one piece once they are complete, because an object store cannot
rename.
"""

from __future__ import annotations

import atexit
import posixpath
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from errno import EIO, ENOENT
from pathlib import Path
from typing import Final

import pyarrow as pa
from pyarrow import fs

from imdb_classifier.errors import first_line
from imdb_classifier.storage.base import (
    ABSENT,
    Kind,
    Listing,
    State,
    Storage,
    matches,
    static_part,
)
from imdb_classifier.storage.temporary import space_needed, temporary_folder

_ODD_KEY: Final = "has an empty, '.' or '..' part in its key, which no path can name"
_NO_BUCKET: Final = ("AWS Error NO_SUCH_BUCKET", "[ContainerNotFound]", "Status(NOT_FOUND")
"""What clients say when they list a bucket, or write to it, that does not exist."""
_COPY_BYTES: Final = 1 << 23


class ObjectStorage(Storage):
    """An object store, as pyarrow's file systems show it."""

    def __init__(self, filesystem: fs.FileSystem) -> None:
        self.filesystem = filesystem
        self._folders: dict[tuple[object, ...], Path] = {}

    def kind(self, path: str) -> Kind | None:
        found = self._info(path)
        if found.is_file:
            return "file"
        return "folder" if found.type == fs.FileType.Directory else None

    def absolute(self, path: str) -> str:
        return path

    def find(self, folder: str, *, skip_unreadable: bool = False) -> Listing:
        return self._listed(key_of(folder), "**")

    def match(self, pattern: str) -> Listing:
        root = key_of(static_part(pattern))
        return self._listed(root, posixpath.relpath(key_of(pattern), root), may_be_absent=True)

    def state(self, path: str) -> State:
        found = self._info(path)
        return (found.size, found.mtime_ns) if found.is_file else ABSENT

    def last_written(self, path: str) -> int:
        return self._info(path).mtime_ns or 0

    def open(self, path: str) -> pa.NativeFile:
        return self.filesystem.open_input_file(key_of(path))

    @contextmanager
    def reading(self, path: str) -> Iterator[str]:
        with temporary_folder() as folder:
            copy = folder / "input"
            self._fetch(key_of(path), copy)
            yield str(copy)

    @contextmanager
    def writing(self, path: str, expected: State | None = None) -> Iterator[str]:
        with temporary_folder() as folder:
            copy = folder / "output"
            with space_needed():
                yield str(copy)
            # Another program may still write between the check and the end of the upload.
            self.check_state(path, expected)
            self._send(copy, key_of(path))

    def reading_folder(self, path: str) -> Path:
        infos = self.filesystem.get_file_info(fs.FileSelector(key_of(path)))
        files = sorted((i.path, i.base_name, i.size, i.mtime_ns) for i in infos if i.is_file)
        state = tuple(files)
        if state not in self._folders:
            with ExitStack() as kept:
                folder = kept.enter_context(temporary_folder())
                for key, name, *_ in files:
                    self._fetch(key, folder / name)
                atexit.register(kept.pop_all().close)
            self._folders[state] = folder
        return self._folders[state]

    @contextmanager
    def writing_folder(self, path: str, last: str) -> Iterator[Path]:
        with temporary_folder() as folder:
            with space_needed():
                yield folder
            names = sorted((file.name for file in folder.iterdir()), key=lambda name: name == last)
            for name in names:
                self._send(folder / name, f"{key_of(path)}/{name}")

    def delete(self, path: str) -> None:
        # In Azure, Arrow takes a lease first, and an absent file fails there in several ways.
        if self._info(path).is_file:
            with suppress(FileNotFoundError):
                self.filesystem.delete_file(key_of(path))

    def delete_folder(self, path: str) -> None:
        if self.kind(path) == "folder":
            self.filesystem.delete_dir(key_of(path))

    @contextmanager
    def lock(self, output: str, side_files: Sequence[str] | None = None) -> Iterator[None]:
        # Object stores have no locks. Every object is complete, whichever run wrote it, and
        # `verify` notices if two runs wrote to one output.
        yield

    def _info(self, path: str) -> fs.FileInfo:
        key = key_of(path)
        with _asked(key):
            return self.filesystem.get_file_info(key)

    def _listed(self, key: str, pattern: str, *, may_be_absent: bool = False) -> Listing:
        is_deep = "/" in pattern or pattern == "**"
        selector = fs.FileSelector(key, allow_not_found=may_be_absent, recursive=is_deep)
        with _asked(key):
            infos = self.filesystem.get_file_info(selector)
            bucket = key.partition("/")[0]
            if not infos and self.filesystem.get_file_info(bucket).type == fs.FileType.NotFound:
                raise _no_bucket(bucket)
        # Not relpath, which would turn an odd name into that of another object.
        named = (info.path.removeprefix(f"{key}/") for info in infos if info.is_file)
        wanted = [name for name in named if matches(name, pattern)]
        odd = {name for name in wanted if {"", ".", ".."} & set(name.split("/"))}
        return Listing.of(
            (name for name in wanted if name not in odd),
            dict.fromkeys(odd, _ODD_KEY),
            (i.path.removeprefix(f"{key}/") for i in infos if not i.is_file),
        )

    def _fetch(self, key: str, copy: Path) -> None:
        with (
            self.filesystem.open_input_stream(key) as source,
            space_needed(),
            copy.open("wb") as target,
        ):
            shutil.copyfileobj(source, target, _COPY_BYTES)

    def _send(self, copy: Path, key: str) -> None:
        # In a single call: a stream interrupted between two calls would leave a partial object.
        with pa.memory_map(str(copy)) as whole:
            content = whole.read_buffer()
            with _asked(key), self.filesystem.open_output_stream(key) as stream:
                stream.write(content)


def key_of(location: str) -> str:
    """Return the bucket and the key in it, as pyarrow takes them."""
    bucket, slash, key = location.partition("://")[2].partition("/")
    return f"{bucket.partition('@')[0]}{slash}{key}".rstrip("/")


@contextmanager
def _asked(key: str) -> Iterator[None]:
    """Raise OSError for whatever a client raises, in the same words if there is no such bucket."""
    try:
        yield
    except pa.ArrowException as error:
        # Azure's client raises it for missing credentials.
        raise OSError(EIO, first_line(error)) from error
    except OSError as error:
        if not any(words in str(error) for words in _NO_BUCKET):
            raise
        raise _no_bucket(key.partition("/")[0]) from error


def _no_bucket(bucket: str) -> FileNotFoundError:
    return FileNotFoundError(ENOENT, f"there is no bucket {bucket}")
