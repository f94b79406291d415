"""Labeled reviews from Keras, the Stanford archive or Parquet files, as Arrow tables."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from typing import Literal, get_args

import pyarrow as pa
from pyarrow import fs

from imdb_classifier.errors import ConfigurationError, NoInputError
from imdb_classifier.reviews import parquet, stanford
from imdb_classifier.reviews.dataset import Reviews, fingerprint_of
from imdb_classifier.reviews.download import fetch
from imdb_classifier.reviews.keras_dataset import read_keras
from imdb_classifier.reviews.parquet import LabelMap
from imdb_classifier.reviews.sources import DATA_VARIABLE, cached_files
from imdb_classifier.storage import filesystem_of
from imdb_classifier.storage.paths import StrPath, location_of
from imdb_classifier.system_errors import cannot_read

Split = Literal["train", "test", "unsupervised"]


def load_reviews(data: StrPath | None, split: Split, *, download: bool = False) -> Reviews:
    """Load one split of labeled reviews.

    Args:
        data: ``keras``, ``aclimdb`` (the cached Stanford archive), or the path or URI of a folder
            with ``<split>-*.parquet``, a Parquet file, the Stanford archive, or its unpacked
            folder. Default: ``IMDB_CLASSIFIER_DATA`` if it is set, else ``aclimdb``.
        split: The split to load.
        download: Whether to download missing files of ``keras`` or ``aclimdb``.

    Returns:
        The reviews in the order of the source: rows of Parquet files as stored, the archive by
        label and review number, Keras in its own shuffled order.

    Raises:
        NoReviewsError: No reviews are configured or cached, or the download failed.
        NoInputError: The location does not exist or has no reviews of this split.
        BadDataError: A file is damaged, or its columns, texts or labels are invalid.
        ConfigurationError: There is no such split.
        UnavailableError: The location cannot be reached.
        MissingExtraError: The source is ``keras`` and Keras is not installed.

    Example:
        >>> import pyarrow as pa, pyarrow.parquet as pq
        >>> from imdb_classifier import load_reviews
        >>> table = pa.table({"text": ["A warm, funny film.", "Dull and loud."], "label": [1, 0]})
        >>> pq.write_table(table, "train-labeled.parquet")
        >>> reviews = load_reviews("train-labeled.parquet", "train")
        >>> len(reviews), reviews.labels.tolist()
        (2, [1, 0])
    """
    if split not in get_args(Split):
        raise ConfigurationError(
            "The split must be train, test or unsupervised.",
            f"It is {split!r}.",
            "Choose one of these.",
        )
    data = data or os.environ.get(DATA_VARIABLE) or "aclimdb"
    if data == "keras":
        return read_keras(split, download)
    if data == "aclimdb":
        if download:
            fetch("aclimdb")
        (archive,) = cached_files("aclimdb")
        data = str(archive)
    filesystem, path, kind = _locate(data)
    try:
        source, table = _read(filesystem, path, kind, split)
    except OSError as error:
        raise cannot_read(path, error) from error
    table, left_out = parquet.clean(table, split)
    if table.num_rows == 0:
        rows = ", ".join(f"{count:,} {reason}" for reason, count in left_out.items())
        raise NoInputError(
            f"The {split} split must contain at least one review.",
            f"{path} has none; rows left out: {rows}.",
            "Check `data`.",
        )
    return Reviews(source, split, table, None, left_out, fingerprint_of(table))


def add_reviews(train: Reviews, extra: Iterable[Reviews]) -> Reviews:
    """Append more labeled reviews to the training data.

    Args:
        train: The training data so far, with text.
        extra: Reviews from `load_own_set`.

    Returns:
        All rows, with the new ones last and a new fingerprint.

    Raises:
        ConfigurationError: ``train`` comes from the keras source, which has no text.
    """
    if train.words is not None:
        raise ConfigurationError(
            "Extra reviews can only be added to reviews with text.",
            "The keras source has only token ids.",
            "Train with `data=aclimdb` or a Parquet folder.",
        )
    tables, left_out = [train.table], Counter(train.left_out)
    for reviews in extra:
        tables.append(reviews.table)
        left_out.update(reviews.left_out)
    table = pa.concat_tables(tables)
    return replace(train, table=table, left_out=dict(left_out), fingerprint=fingerprint_of(table))


def load_own_set(
    data: StrPath, label_map: LabelMap | None = None, split: Literal["train", "test"] = "test"
) -> Reviews:
    """Load labeled reviews of the user's own, to evaluate a model on or to adapt it to.

    Args:
        data: A Parquet file with the columns ``text`` and ``label``, or a folder of them. In a
            folder with ``<split>-*.parquet``, only those files are read.
        label_map: What the labels mean; None if they are 0 and 1, true and false, or positive and
            negative.
        split: What they are used as.

    Raises:
        NoInputError: The path does not exist, or is a folder without Parquet files.
        BadDataError: As for `load_reviews`.
    """
    filesystem, path, kind = _locate(data)
    rows = parquet.read_extra(filesystem, path, kind, split, label_map)
    table, left_out = parquet.clean(rows, split)
    return Reviews("parquet", split, table, None, left_out, fingerprint_of(table))


def _locate(data: StrPath) -> tuple[fs.FileSystem, str, fs.FileType]:
    """Return the file system, the path in it, and whether that is a file or a folder."""
    location = location_of(data)
    filesystem, path = filesystem_of(location)
    try:
        kind = filesystem.get_file_info(path).type
    except OSError as error:
        raise cannot_read(location, error) from error
    if kind == fs.FileType.NotFound:
        raise NoInputError(
            "The location of the reviews must exist.",
            f"There is no {location}.",
            f"Check `data`, `extra_train`, `gate_on` or {DATA_VARIABLE}.",
        )
    return filesystem, path, kind


def _read(
    filesystem: fs.FileSystem, path: str, kind: fs.FileType, split: str
) -> tuple[str, pa.Table]:
    """Return the kind of source, and the rows of the split as stored there."""
    if kind == fs.FileType.Directory:
        root = stanford.find_root(filesystem, path)
        if root is not None:
            return "aclimdb", stanford.read_folder(filesystem, root, split)
        return "parquet", parquet.read_split(filesystem, path, kind, split)
    with filesystem.open_input_stream(path, compression=None) as stream:
        if path.endswith(".parquet") or stream.read(4) == b"PAR1":
            return "parquet", parquet.read_split(filesystem, path, kind, split)
    return "aclimdb", stanford.read_archive(filesystem, path, split)
