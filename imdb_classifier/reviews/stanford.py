"""The Large Movie Review Dataset as Stanford publishes it: one text file a review.

``aclImdb/train/neg/127_4.txt`` is review 127 of the negative training reviews, rated 4 of 10.
Source: Maas et al., Learning Word Vectors for Sentiment Analysis, ACL 2011,
https://ai.stanford.edu/~amaas/data/sentiment/.
"""

from __future__ import annotations

import gzip
import re
import tarfile
import zlib
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import BinaryIO, Final

import pyarrow as pa
from pyarrow import fs

from imdb_classifier.errors import BadDataError
from imdb_classifier.schema import REVIEWS, UNLABELLED

# Split -> folder below aclImdb/ -> label, in the order of the rows.
_FOLDERS: Final[Mapping[str, Mapping[str, int]]] = {
    "train": {"train/neg": 0, "train/pos": 1},
    "test": {"test/neg": 0, "test/pos": 1},
    "unsupervised": {"train/unsup": UNLABELLED},
}
_FILE_NAME: Final = re.compile(r"([0-9]{1,9})_([0-9]{1,9})\.txt")

# Far above what was published (the longest review has 14 kB, the archive 100,000 reviews and 130 MB
# of text), low enough that a hostile archive cannot fill the memory.
_MAX_REVIEW_BYTES: Final = 4 << 20
_MAX_SPLIT_BYTES: Final = 1 << 30
_MAX_MEMBERS: Final = 250_000

_Key = tuple[int, int, int]  # label, review number, rating


def read_folder(filesystem: fs.FileSystem, root: str, split: str) -> pa.Table:
    """The reviews of one split from the unpacked archive.

    Args:
        filesystem: Where it lies.
        root: The folder that holds ``train`` and ``test``.
        split: ``train``, ``test`` or ``unsupervised``.

    Returns:
        Columns of `schema.REVIEWS`, ordered by label and then by review number.

    Raises:
        BadDataError: A review is larger than 4 MiB, not UTF-8, or there twice.
        OSError: A file cannot be read.
    """
    texts: dict[_Key, str] = {}
    # One file a review is how the data set comes: this loop is over files, not over rows.
    for folder, label in _FOLDERS[split].items():
        selector = fs.FileSelector(f"{root}/{folder}", allow_not_found=True)
        for info in filesystem.get_file_info(selector):
            match = _FILE_NAME.fullmatch(info.base_name)
            if match and info.type == fs.FileType.File:
                _check_size(info.size, info.path)
                with filesystem.open_input_file(info.path) as file:
                    _add(texts, _key(label, match), file.read(), info.path)
    return _table(texts)


def find_root(filesystem: fs.FileSystem, folder: str) -> str | None:
    """The folder that holds ``train`` and ``test``: this one, its ``aclImdb``, or None."""
    for root in (folder, f"{folder}/aclImdb"):
        paths = [f"{root}/{name}" for names in _FOLDERS.values() for name in names]
        if any(info.type == fs.FileType.Directory for info in filesystem.get_file_info(paths)):
            return root
    return None


def read_archive(stream: BinaryIO, name: str, split: str) -> pa.Table:
    """The reviews of one split from the tar.gz, in one pass and without unpacking it to disk.

    Args:
        stream: The compressed archive, at its beginning.
        name: What to call it in errors.
        split: ``train``, ``test`` or ``unsupervised``.

    Returns:
        Columns of `schema.REVIEWS`, ordered by label and then by review number.

    Raises:
        BadDataError: It is no tar.gz, or a damaged one; it has a member that is a link or a
            device, is absolute, climbs with ``..`` or lies outside ``aclImdb/``; a review is larger
            than 4 MiB, not UTF-8, or there twice; or it is far larger than the published one.
    """
    texts: dict[_Key, str] = {}
    total = 0
    try:
        with (
            _BoundedGzip(fileobj=stream, mode="rb") as unpacked,
            tarfile.TarFile(fileobj=unpacked, mode="r") as archive,
        ):
            for count, member in enumerate(archive):
                if count >= _MAX_MEMBERS:
                    raise _too_large(f"{name} holds more than {_MAX_MEMBERS:,} members")
                path = _checked_path(member, name)
                label = _FOLDERS[split].get("/".join(path.parts[1:-1]))
                match = _FILE_NAME.fullmatch(path.name)
                if label is None or match is None or not member.isreg():
                    continue
                _check_size(member.size, f"{name}:{path}")
                total += member.size
                if total > _MAX_SPLIT_BYTES:
                    raise _too_large(f"{name} holds more than {_MAX_SPLIT_BYTES:,} bytes of text")
                file = archive.extractfile(member)
                _add(texts, _key(label, match), file.read() if file else b"", f"{name}:{path}")
            _check_tail(unpacked, name)
    except (tarfile.TarError, OSError, EOFError, zlib.error, RecursionError) as error:
        raise _not_whole(name, str(error) or type(error).__name__) from error
    return _table(texts)


class _BoundedGzip(gzip.GzipFile):
    """Refuses a read larger than a review may be.

    `tarfile` reads extended headers whole, however large they say they are.
    """

    def read(self, size: int | None = -1) -> bytes:
        if size is None or not 0 <= size <= _MAX_REVIEW_BYTES + tarfile.BLOCKSIZE:
            raise _too_large(f"a header or member claims {size} bytes")
        return super().read(size)


def _checked_path(member: tarfile.TarInfo, name: str) -> PurePosixPath:
    path = PurePosixPath(member.name)
    if not (member.isreg() or member.isdir()):
        reason = "is a link or a device"
    elif member.size < 0:
        reason = "claims a negative size"
    elif path.is_absolute() or ".." in path.parts:
        reason = "points outside the archive"
    elif path.parts[:1] != ("aclImdb",) and path.parts:
        reason = "does not lie in aclImdb/"
    else:
        return path
    raise BadDataError(
        "Members of the review archive must be plain files and folders under aclImdb/.",
        f"In {name}, {member.name!r} {reason}.",
        "Use the published archive: `imdb-classifier data fetch`.",
    )


def _check_tail(unpacked: gzip.GzipFile, name: str) -> None:
    # tarfile takes a damaged header for the end of the archive. Behind the true end there are
    # only zeros; reading them also makes gzip compare its checksum.
    while chunk := unpacked.read(1 << 20):
        if chunk.count(0) != len(chunk):
            raise _not_whole(name, "it goes on behind a damaged header")


def _check_size(size: int, name: str) -> None:
    if size > _MAX_REVIEW_BYTES:
        raise _too_large(f"{name} has {size:,} bytes")


def _key(label: int, match: re.Match[str]) -> _Key:
    return label, int(match[1]), int(match[2])


def _add(texts: dict[_Key, str], key: _Key, data: bytes, name: str) -> None:
    if key in texts:
        raise BadDataError(
            "A review must be there once.", f"{name} comes twice.", "Pack the archive again."
        )
    try:
        texts[key] = data.decode()
    except UnicodeDecodeError:
        # Not chained: the exception holds the text.
        raise BadDataError(
            "Reviews must be UTF-8.", f"{name} is not.", "Convert the file, or leave it out."
        ) from None


def _table(texts: Mapping[_Key, str]) -> pa.Table:
    keys = sorted(texts)
    return pa.table([[texts[key] for key in keys], [key[0] for key in keys]], schema=REVIEWS)


def _too_large(received: str) -> BadDataError:
    return BadDataError(
        f"A review has at most {_MAX_REVIEW_BYTES:,} bytes, a split {_MAX_SPLIT_BYTES:,}.",
        f"But {received}.",
        "Use the published archive: `imdb-classifier data fetch`.",
    )


def _not_whole(name: str, reason: str) -> BadDataError:
    return BadDataError(
        f"{name} must be Parquet, or a whole tar.gz like the published one.",
        f"Reading it failed: {reason}.",
        "Copy it again, or fetch the published archive with `imdb-classifier data fetch`.",
    )
