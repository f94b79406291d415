"""The Large Movie Review Dataset as published by Stanford: one text file per review.

``aclImdb/train/neg/127_4.txt`` is review 127 of the negative training reviews, rated 4 of 10.
Source: Maas et al., Learning Word Vectors for Sentiment Analysis, ACL 2011,
https://ai.stanford.edu/~amaas/data/sentiment/.
"""

from __future__ import annotations

import hashlib
import re
import tarfile
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Final

import pyarrow as pa
from pyarrow import fs

from imdb_classifier.errors import BadDataError
from imdb_classifier.reviews import sources
from imdb_classifier.reviews.dataset import REVIEWS
from imdb_classifier.schema import UNLABELED

# Split -> folder below aclImdb/ -> label, in the order of the rows.
_FOLDERS: Final[Mapping[str, Mapping[str, int]]] = {
    "train": {"train/neg": 0, "train/pos": 1},
    "test": {"test/neg": 0, "test/pos": 1},
    "unsupervised": {"train/unsup": UNLABELED},
}
_FILE_NAME: Final = re.compile(r"([0-9]{1,9})_([0-9]{1,9})\.txt")
_READ_BYTES: Final = 1 << 20

_Row = tuple[int, int, int, str]  # label, review number, rating, text


def read_folder(filesystem: fs.FileSystem, root: str, split: str) -> pa.Table:
    """Read the reviews of one split from the unpacked archive.

    Args:
        filesystem: The file system of the folder.
        root: The folder that contains ``train`` and ``test``.
        split: ``train``, ``test`` or ``unsupervised``.

    Returns:
        The columns of `dataset.REVIEWS`, ordered by label and review number.

    Raises:
        BadDataError: A review is not valid UTF-8.
        OSError: A file cannot be read.
    """
    rows = []
    # This loop is over files, of which the data set has one per review.
    for folder, label in _FOLDERS[split].items():
        selector = fs.FileSelector(f"{root}/{folder}", allow_not_found=True)
        for info in filesystem.get_file_info(selector):
            match = _FILE_NAME.fullmatch(info.base_name)
            if match and info.type == fs.FileType.File:
                with filesystem.open_input_file(info.path) as file:
                    rows.append(_row(label, match, file.read(), info.path))
    return _table(rows)


def find_root(filesystem: fs.FileSystem, folder: str) -> str | None:
    """Return the folder with ``train`` and ``test``: this one, its ``aclImdb``, or None."""
    for root in (folder, f"{folder}/aclImdb"):
        paths = [f"{root}/{name}" for names in _FOLDERS.values() for name in names]
        if any(info.type == fs.FileType.Directory for info in filesystem.get_file_info(paths)):
            return root
    return None


def read_archive(filesystem: fs.FileSystem, path: str, split: str) -> pa.Table:
    """Read the reviews of one split from the published archive, without unpacking it to disk.

    Args:
        filesystem: The file system of the archive.
        path: The archive.
        split: ``train``, ``test`` or ``unsupervised``.

    Returns:
        The columns of `dataset.REVIEWS`, ordered by label and review number.

    Raises:
        BadDataError: The file does not have the published SHA-256.
        OSError: The archive cannot be read.
    """
    published = sources.ACLIMDB
    # Only this archive is ever unpacked, so its contents need no safety checks.
    with filesystem.open_input_stream(path, None, _READ_BYTES) as stream:
        received = hashlib.file_digest(stream, published.algorithm).hexdigest()
    if received != published.digest:
        raise BadDataError(
            f"A file of reviews must be Parquet, or the published {published.name} "
            f"(SHA-256 {published.digest}).",
            f"{path} is neither: its SHA-256 is {received}.",
            "Unpack other archives and use their folder, or download the published one with "
            "`imdb-classifier data fetch`.",
        )
    rows = []
    with (
        filesystem.open_input_stream(path, None, _READ_BYTES) as stream,
        tarfile.open(fileobj=stream, mode="r|gz") as archive,
    ):
        for member in archive:
            name = PurePosixPath(member.name)
            label = _FOLDERS[split].get("/".join(name.parts[1:-1]))
            match = _FILE_NAME.fullmatch(name.name)
            if label is not None and match and (file := archive.extractfile(member)):
                rows.append(_row(label, match, file.read(), f"{path}:{name}"))
    return _table(rows)


def _row(label: int, match: re.Match[str], data: bytes, name: str) -> _Row:
    try:
        return label, int(match[1]), int(match[2]), data.decode()
    except UnicodeDecodeError:
        # Not chained: the exception contains the text.
        raise BadDataError(
            "Reviews must be valid UTF-8.", f"{name} is not.", "Convert the file, or remove it."
        ) from None


def _table(rows: list[_Row]) -> pa.Table:
    rows.sort()
    return pa.table([[row[3] for row in rows], [row[0] for row in rows]], schema=REVIEWS)
