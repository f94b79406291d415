"""Labeled reviews in Parquet files: finding, reading, checking and cleaning them."""

from __future__ import annotations

import re
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import fs

from imdb_classifier.errors import (
    BadDataError,
    MissingReviewColumnError,
    NoInputError,
    TextTypeError,
)
from imdb_classifier.reviews.dataset import REVIEWS
from imdb_classifier.schema import LABEL, TEXT, UNLABELED
from imdb_classifier.storage import readable

_OF_A_SPLIT: Final = re.compile(r"(train|test|unsupervised)(-.*)?\.parquet")


def read_split(filesystem: fs.FileSystem, path: str, kind: fs.FileType, split: str) -> pa.Table:
    """Read the rows of one split from a file, or from a folder's ``<split>-*.parquet``.

    Args:
        filesystem: The file system of the path.
        path: A Parquet file, or a folder of them.
        kind: Which of the two it is.
        split: ``train``, ``test`` or ``unsupervised``.

    Returns:
        The columns of `dataset.REVIEWS`. Texts may be null or blank; null labels become -1.

    Raises:
        NoInputError: The folder has no file of the split, or the file is named like another split.
        UnreadableFileError: A file is not Parquet, is damaged, or contains text that is not UTF-8.
        MissingReviewColumnError: A file lacks ``text`` or ``label``.
        TextTypeError: ``text`` is not a column of text.
        BadDataError: ``label`` contains anything but 0, 1, -1 and null, or, in the unsupervised
            split, anything but -1 and null.
    """
    if kind == fs.FileType.File:
        if _split_of(path) not in (None, split):
            raise NoInputError(
                f"The {split} split cannot be read from the file of another split.",
                f"The name of {path} says that it is the {_split_of(path)} split.",
                "Use the folder that contains both splits, or rename the file.",
            )
        return _read(filesystem, path, split)
    files = [file for file in _files(filesystem, path) if _split_of(file) == split]
    if not files:
        raise _no_files(path, f"{split}-*.parquet")
    return pa.concat_tables(_read(filesystem, file, split) for file in files)


def read_extra(filesystem: fs.FileSystem, path: str, kind: fs.FileType, split: str) -> pa.Table:
    """Read a file, a folder's ``<split>-*.parquet``, or if it has none, all its ``*.parquet``.

    Arguments, result and errors are those of `read_split`, but a file may have any name.
    """
    files = [path] if kind == fs.FileType.File else _files(filesystem, path)
    if not files:
        raise _no_files(path, "*.parquet")
    wanted = [file for file in files if _split_of(file) == split] or files
    return pa.concat_tables(_read(filesystem, file, split) for file in wanted)


def _split_of(path: str) -> str | None:
    match = _OF_A_SPLIT.fullmatch(path.rpartition("/")[2])
    return match[1] if match else None


def _files(filesystem: fs.FileSystem, folder: str) -> list[str]:
    infos = filesystem.get_file_info(fs.FileSelector(folder))
    return sorted(
        info.path
        for info in infos
        if info.type == fs.FileType.File and info.base_name.endswith(".parquet")
    )


def _no_files(folder: str, pattern: str) -> NoInputError:
    return NoInputError(
        f"A folder of reviews must contain {pattern} or be the unpacked aclImdb.",
        f"Neither is true of {folder}.",
        "Choose another folder, or a single file.",
    )


def _read(filesystem: fs.FileSystem, path: str, split: str) -> pa.Table:
    """Return all rows as `dataset.REVIEWS`, including null texts; null labels become -1."""
    with readable(path), filesystem.open_input_file(path) as file:
        parquet = pq.ParquetFile(file, page_checksum_verification=True, pre_buffer=False)
        _check_columns(parquet.schema_arrow, path)
        # Read in batches: a whole row group of large_string may not fit into string.
        batches = [
            pa.record_batch(
                [
                    batch.column(TEXT).cast(pa.string()),
                    _labels(batch.column(LABEL), path, split),
                ],
                schema=REVIEWS,
            )
            for batch in parquet.iter_batches(columns=[TEXT, LABEL])
        ]
        table = pa.Table.from_batches(batches, schema=REVIEWS)
        table.validate(full=True)
    return table


def _check_columns(schema: pa.Schema, path: str) -> None:
    for name in (TEXT, LABEL):
        if schema.get_field_index(name) < 0:
            raise MissingReviewColumnError(name, path, schema.names)
    received = schema.field(TEXT).type
    text = received.value_type if pa.types.is_dictionary(received) else received
    if not any(
        is_text(text)
        for is_text in (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    ):
        raise TextTypeError(TEXT, path, f"of type {received}")
    label = schema.field(LABEL).type
    # pandas converts integer columns with missing values to floats.
    if not (pa.types.is_integer(label) or pa.types.is_floating(label)):
        raise BadDataError(
            f"Column '{LABEL}' of {path} must contain numbers: 0 (negative) or 1 (positive).",
            f"It is {label}.",
            "Convert the labels to integers.",
        )


def _labels(column: pa.Array, path: str, split: str) -> pa.Array:
    allowed = [UNLABELED] if split == "unsupervised" else [0, 1, UNLABELED]
    numbers = column.cast(pa.float64(), safe=False)
    numbers = pc.if_else(pc.is_null(numbers, nan_is_null=True), float(UNLABELED), numbers)
    wrong = numbers.filter(pc.invert(pc.is_in(numbers, pa.array(allowed, pa.float64()))))
    if len(wrong):
        raise BadDataError(
            f"Labels of the {split} split must be in {allowed}; -1 or null means unlabeled.",
            f"{path} has other labels, such as {wrong[0].as_py():g}.",
            "Correct them, or use the file of another split.",
        )
    return numbers.cast(pa.int8())


def clean(table: pa.Table, split: str) -> tuple[pa.Table, dict[str, int]]:
    """Drop rows without text and, except in the unsupervised split, without label; count them."""
    missing = pc.is_null(table.column(TEXT))
    trimmed = pc.utf8_trim_whitespace(table.column(TEXT))
    blank = pc.fill_null(pc.equal(trimmed, ""), False)
    usable = pc.invert(pc.or_(missing, blank))
    unlabeled = pc.and_(usable, pc.equal(table.column(LABEL), UNLABELED))
    keep = usable if split == "unsupervised" else pc.and_not(usable, unlabeled)
    counts = {
        "null": missing,
        "blank": blank,
        "unlabeled": pc.and_not(unlabeled, keep),
    }
    left_out = {name: int(pc.sum(mask, min_count=0).as_py()) for name, mask in counts.items()}
    return table.filter(keep), left_out
