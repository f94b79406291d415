"""Labeled reviews in Parquet files: finding, reading, checking and cleaning them."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import fs

from imdb_classifier.errors import (
    BadDataError,
    ConfigurationError,
    MissingReviewColumnError,
    NoInputError,
    TextTypeError,
    counted,
)
from imdb_classifier.reviews.dataset import REVIEWS
from imdb_classifier.schema import LABEL, TEXT, UNLABELED
from imdb_classifier.storage import readable

LabelMap = Mapping[str, str]
"""What the labels of a file mean: ``positive``, ``negative`` or ``unlabeled``."""

_MEANINGS: Final = {"negative": 0, "positive": 1, "unlabeled": UNLABELED}
_KNOWN: Final = {
    **dict.fromkeys(("0", "false", "neg", "negative"), 0),
    **dict.fromkeys(("1", "true", "pos", "positive"), 1),
}
_SHOWN_CHARACTERS: Final = 20
"""Longer labels, and those of several words, may be reviews, and are not shown."""

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
        BadDataError: ``label`` contains anything but the labels that `_KNOWN` lists and null, or,
            in the unsupervised split, anything but -1 and null.
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


def read_extra(
    filesystem: fs.FileSystem,
    path: str,
    kind: fs.FileType,
    split: str,
    label_map: LabelMap | None = None,
) -> pa.Table:
    """Read a file, a folder's ``<split>-*.parquet``, or if it has none, all its ``*.parquet``.

    Arguments, result and errors are those of `read_split`, but a file may have any name, and with a
    label map, labels are those that it lists.

    Raises:
        ConfigurationError: The label map gives a label another meaning than positive, negative or
            unlabeled.
    """
    meanings = None if label_map is None else _meanings(label_map)
    files = [path] if kind == fs.FileType.File else _files(filesystem, path)
    if not files:
        raise _no_files(path, "*.parquet")
    wanted = [file for file in files if _split_of(file) == split] or files
    return pa.concat_tables(_read(filesystem, file, split, meanings) for file in wanted)


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


def _read(
    filesystem: fs.FileSystem, path: str, split: str, meanings: Mapping[str, int] | None = None
) -> pa.Table:
    """Return all rows as `dataset.REVIEWS`, including null texts; null labels become -1."""
    with readable(path), filesystem.open_input_file(path) as file:
        parquet = pq.ParquetFile(file, page_checksum_verification=True, pre_buffer=False)
        _check_columns(parquet.schema_arrow, path)
        names = _class_names(parquet.schema_arrow)
        # Read in batches: a whole row group of large_string may not fit into string.
        batches = [
            pa.record_batch(
                [
                    batch.column(TEXT).cast(pa.string()),
                    _labels(batch.column(LABEL), names, meanings, path, split),
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
    label = label.value_type if pa.types.is_dictionary(label) else label
    if not any(is_kind(label) for is_kind in _LABEL_KINDS):
        raise BadDataError(
            f"Column '{LABEL}' of {path} must contain numbers, booleans or text.",
            f"It is {label}.",
            "Convert the labels to 0 (negative) and 1 (positive).",
        )


_LABEL_KINDS: Final = (
    pa.types.is_boolean,
    pa.types.is_integer,
    pa.types.is_floating,
    pa.types.is_decimal,
    pa.types.is_string,
    pa.types.is_large_string,
    pa.types.is_string_view,
    pa.types.is_null,
)


def _class_names(schema: pa.Schema) -> Sequence[str]:
    """Return the names of the classes, by label, in a file of Hugging Face datasets."""
    try:
        described = json.loads((schema.metadata or {})[b"huggingface"])
        names = described["info"]["features"][LABEL]["names"]
    except (KeyError, TypeError, ValueError):
        return ()
    return names if isinstance(names, list) and all(isinstance(n, str) for n in names) else ()


def _meanings(label_map: LabelMap) -> dict[str, int]:
    wrong = {meaning for meaning in label_map.values() if meaning not in _MEANINGS}
    if wrong or not label_map:
        raise ConfigurationError(
            "`label_map` must say which labels are positive, negative or unlabeled.",
            f"Received {sorted(map(str, wrong)) or 'no label'}.",
            "Name one of the three for each label, such as 1=negative and 5=positive.",
        )
    return {_key(label): _MEANINGS[meaning] for label, meaning in label_map.items()}


def _key(label: object) -> str:
    """Return a label as text that does not depend on its type or case."""
    text = str(label).strip().lower()
    try:
        return f"{float(text):g}"
    except ValueError:
        return text


def _labels(
    column: pa.Array,
    names: Sequence[str],
    meanings: Mapping[str, int] | None,
    path: str,
    split: str,
) -> pa.Array:
    """Return labels as int8: 0, 1 or -1."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_string_view(column.type):
        column = column.cast(pa.string())
    encoded = column.dictionary_encode()
    known = meanings or _KNOWN
    if split == "unsupervised":
        known = {_key(UNLABELED): UNLABELED}
    found: list[int | None] = []
    for value in encoded.dictionary.to_pylist():
        keys = [_key(value)]
        if type(value) is int and 0 <= value < len(names) and split != "unsupervised":
            # Without a map, the class decides: 0 may be the positive one.
            keys = [_key(names[value]), *(keys if meanings else ())]
        is_missing = value is None or (isinstance(value, float) and math.isnan(value))
        number = UNLABELED if is_missing else next((known[k] for k in keys if k in known), None)
        if number is None:
            raise _other_label(keys[0], split, path, mapped=meanings is not None)
        found.append(number)
    if not found:
        return pa.array([UNLABELED] * len(column), pa.int8())
    return pc.fill_null(pa.array(found, pa.int8()).take(encoded.indices), UNLABELED)


def _other_label(label: str, split: str, path: str, *, mapped: bool) -> BadDataError:
    is_one_word = len(label) <= _SHOWN_CHARACTERS and len(label.split()) == 1
    shown = label if is_one_word else f"one of {counted(len(label), 'character')}"
    if split == "unsupervised":
        rule = "Labels of the unsupervised split must be in [-1]; null and -1 mean unlabeled."
    elif mapped:
        rule = "Every label must be in `label_map`; null means unlabeled."
    else:
        rule = (
            f"Labels of the {split} split must be 0 or 1, true or false, or positive or negative; "
            "null means unlabeled."
        )
    return BadDataError(
        rule,
        f"{path} has other labels, such as {shown}.",
        "Correct them, say with `label_map` what the labels of your own files mean, or use the "
        "file of another split.",
    )


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
