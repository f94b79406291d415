"""The IMDB reviews, from Keras, the Stanford archive, or Parquet, as Arrow tables."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any, Final, Literal, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyarrow import fs

from imdb_classifier.errors import (
    ChecksumError,
    ConfigurationError,
    MissingExtraError,
    NoInputError,
    NoReviewsError,
    first_line,
)
from imdb_classifier.reviews import parquet, stanford
from imdb_classifier.reviews.download import (
    PublishedSource,
    cache_folder,
    cached_files,
    fetch,
    published_files,
)
from imdb_classifier.schema import ENCODED_REVIEWS, LABEL
from imdb_classifier.storage import OBJECT_STORE, object_store

__all__ = [
    "DATA_VARIABLE",
    "Reviews",
    "SourceStatus",
    "Split",
    "add_reviews",
    "count_overlap",
    "describe_sources",
    "fetch",
    "load_reviews",
]

Split = Literal["train", "test", "unsupervised"]

DATA_VARIABLE: Final = "IMDB_CLASSIFIER_DATA"
"""Environment variable that names the reviews when ``--data`` does not."""


@dataclass(frozen=True)
class Reviews:
    """One split of labelled (or, in the unsupervised split, unlabelled) reviews.

    Attributes:
        source: ``keras``, ``aclimdb`` or ``parquet``.
        split: ``train``, ``test`` or ``unsupervised``.
        table: Columns of `schema.REVIEWS`; of `schema.ENCODED_REVIEWS` from the keras source. No
            value is null and no text blank.
        words: The word index in rank order, rank 1 first, from the keras source; None elsewhere.
        left_out: Rows that were left out because their text is ``null`` or ``blank`` or they are
            ``unlabelled``; each row counts once, under the first of these that fits.
        fingerprint: SHA-256 over contents and labels in their order, hexadecimal; equal wherever
            the rows are equal, whatever file they come from.
    """

    source: str
    split: str
    # Not in the repr: logs and tracebacks must not hold review text.
    table: pa.Table = field(repr=False)
    words: tuple[str, ...] | None = field(repr=False)
    left_out: Mapping[str, int]
    fingerprint: str

    @property
    def labels(self) -> NDArray[np.int8]:
        """int8, (rows,): 0 negative, 1 positive; -1 throughout in the unsupervised split."""
        labels: NDArray[np.int8] = self.table.column(LABEL).to_numpy()
        return labels

    def __len__(self) -> int:
        return int(self.table.num_rows)


@dataclass(frozen=True)
class SourceStatus:
    """What is known of one place that reviews can come from.

    Attributes:
        source: ``IMDB_CLASSIFIER_DATA``, ``aclimdb`` or ``keras``.
        location: Path or URI, without credentials.
        state: ``configured`` (not looked into), ``cached`` (checksum verified), ``missing``, or
            ``damaged``.
        size: Bytes on disk; None where that is not known or nothing is there.
    """

    source: str
    location: str
    state: Literal["configured", "cached", "missing", "damaged"]
    size: int | None


def load_reviews(data: str | None, split: Split, *, download: bool = False) -> Reviews:
    """One split of the reviews.

    Args:
        data: ``keras``, ``aclimdb`` (the cached Stanford archive), or the path or URI of a folder
            with ``train-*.parquet`` and the like, of one Parquet file, of the Stanford archive, or
            of its unpacked folder. None: what ``IMDB_CLASSIFIER_DATA`` names, else ``aclimdb``.
        split: Which one.
        download: May fetch what ``keras`` or ``aclimdb`` lacks.

    Returns:
        The reviews, ordered as in the source: Parquet as its rows stand, the archive by label and
        review number, Keras in its own shuffled order.

    Raises:
        NoReviewsError: Nothing is named and nothing is cached, or the download failed.
        NoInputError: The location does not exist or has no review of this split.
        BadDataError: A file is damaged, or its columns, text or labels are not as they must be.
        ConfigurationError: There is no such split, or the URI cannot be opened.
        MissingExtraError: The keras source was named and Keras is not installed.
    """
    if split not in get_args(Split):
        raise ConfigurationError(
            "A split is train, test or unsupervised.", f"It is {split!r}.", "Name one of these."
        )
    data = data or os.environ.get(DATA_VARIABLE) or "aclimdb"
    if data == "keras":
        return _from_keras(split, download)
    if data == "aclimdb":
        if download:
            fetch("aclimdb")
        data = str(cached_files("aclimdb")[0])
    filesystem, path, kind = _locate(data)
    try:
        source, table = _read(filesystem, path, kind, split)
    except OSError as error:
        raise NoInputError(
            "The reviews must be readable.", f"{path} is not: {_reason(error)}.", "Check access."
        ) from None
    table, left_out = parquet.clean(table, split)
    if table.num_rows == 0:
        raise NoInputError(
            f"The {split} split must hold at least one review.",
            f"In {path} there is none; left out: {left_out}.",
            "Check what --data names.",
        )
    return Reviews(source, split, table, None, left_out, _fingerprint(table))


def add_reviews(train: Reviews, paths: Sequence[str]) -> Reviews:
    """Append labelled reviews of one's own to the training data.

    Args:
        train: What is there already, with text.
        paths: Parquet files with the columns ``text`` and ``label``, or folders of them; from a
            folder that has ``train-*.parquet`` only these are taken.

    Returns:
        All rows, the new ones last, with a new fingerprint.

    Raises:
        ConfigurationError: ``train`` comes from the keras source and has no text.
        NoInputError: A path does not exist, or is a folder without Parquet files.
        BadDataError: As for `load_reviews`.
    """
    if train.words is not None:
        raise ConfigurationError(
            "Extra reviews can only be added to reviews with text.",
            "The keras source has token ids and no text.",
            "Train with --data aclimdb or a Parquet folder.",
        )
    tables, left_out = [train.table], Counter(train.left_out)
    for data in paths:
        filesystem, path, kind = _locate(data)
        extra = parquet.read_extra(filesystem, path, kind, train.split)
        table, left = parquet.clean(extra, train.split)
        tables.append(table)
        left_out.update(left)
    table = pa.concat_tables(tables)
    return replace(train, table=table, left_out=dict(left_out), fingerprint=_fingerprint(table))


def count_overlap(train: Reviews, test: Reviews) -> int:
    """Rows of ``test`` whose exact content also stands in ``train``, whatever their labels.

    Raises:
        ConfigurationError: One has text and the other token ids.
    """
    if train.table.schema != test.table.schema:
        raise ConfigurationError(
            "Reviews can only be compared with reviews of the same kind.",
            "One side has text, the other token ids.",
            "Load both from the same source.",
        )
    seen = pc.is_in(_contents(test.table), value_set=_contents(train.table))
    return int(pc.sum(seen, min_count=0).as_py())


def describe_sources() -> list[SourceStatus]:
    """What is configured and what is cached, for people to read; nothing is downloaded."""
    rows = []
    if configured := os.environ.get(DATA_VARIABLE):
        path = Path(configured).expanduser()
        files = [path] if path.is_file() else path.rglob("*")
        size = sum(file.stat().st_size for file in files if file.is_file())
        rows.append(SourceStatus(DATA_VARIABLE, _redacted(configured), "configured", size or None))
    sources: tuple[PublishedSource, ...] = get_args(PublishedSource)
    for source in sources:
        folder = cache_folder(source)
        try:
            size = sum(path.stat().st_size for path in cached_files(source))
            rows.append(SourceStatus(source, str(folder), "cached", size))
        except NoReviewsError:
            rows.append(SourceStatus(source, str(folder), "missing", None))
        except ChecksumError:
            rows.append(SourceStatus(source, str(folder), "damaged", None))
    return rows


def _redacted(location: str) -> str:
    """Without the credentials that a URI can carry before its host."""
    return re.sub(r"//[^/@\s]*@", "//", location)


def _reason(error: Exception) -> str:
    return _redacted(first_line(error))


def _locate(data: str) -> tuple[fs.FileSystem, str, fs.FileType]:
    """The file system, the path in it, and whether that is a file or a folder."""
    try:
        if data.startswith(OBJECT_STORE) and not {"@", "?"} & set(data):
            filesystem, path = object_store().filesystem, data.removeprefix(OBJECT_STORE)
        elif "://" in data:
            # A URI of Arrow's, which may say where the store is and who asks.
            filesystem, path = fs.FileSystem.from_uri(data)
        else:
            filesystem, path = fs.LocalFileSystem(), str(Path(data).expanduser())
        kind = filesystem.get_file_info(path).type
    except (pa.ArrowException, OSError) as error:
        # Not chained: Arrow's message repeats the URI, credentials and all.
        raise ConfigurationError(
            "Reviews are named by a path, or by a URI that Arrow can open.",
            f"{_redacted(data)} cannot be opened: {_reason(error)}.",
            "Check its spelling and your access.",
        ) from None
    if kind == fs.FileType.NotFound:
        raise NoInputError(
            "The reviews must be where they are said to be.",
            f"There is no {_redacted(data)}.",
            f"Check --data, --extra-train or {DATA_VARIABLE}.",
        )
    return filesystem, path, kind


def _read(
    filesystem: fs.FileSystem, path: str, kind: fs.FileType, split: str
) -> tuple[str, pa.Table]:
    """The source that lies there, and the rows of the split as they stand in it."""
    if kind == fs.FileType.Directory:
        root = stanford.find_root(filesystem, path)
        if root is not None:
            return "aclimdb", stanford.read_folder(filesystem, root, split)
        return "parquet", parquet.read_split(filesystem, path, kind, split)
    with filesystem.open_input_stream(path, compression=None) as stream:
        if path.endswith(".parquet") or stream.read(4) == b"PAR1":
            return "parquet", parquet.read_split(filesystem, path, kind, split)
    with filesystem.open_input_stream(path, compression=None) as stream:
        return "aclimdb", stanford.read_archive(stream, path, split)


def _contents(table: pa.Table) -> pa.ChunkedArray:
    """The reviews as one value each; token ids as their bytes, for Arrow cannot look up lists."""
    column = table.column(0)
    if not pa.types.is_list(column.type):
        return column
    chunks = []
    for chunk in column.chunks:
        offsets = np.concatenate([[0], np.cumsum(_lengths(chunk))]) * np.dtype("<i4").itemsize
        buffers = [None, pa.py_buffer(offsets.astype(np.int64)), pa.py_buffer(_payload(chunk))]
        chunks.append(pa.LargeBinaryArray.from_buffers(pa.large_binary(), len(chunk), buffers))
    return pa.chunked_array(chunks, type=pa.large_binary())


def _lengths(chunk: pa.Array) -> NDArray[np.int64]:
    is_list = pa.types.is_list(chunk.type)
    lengths = pc.list_value_length(chunk) if is_list else pc.binary_length(chunk)
    return np.asarray(lengths, dtype="<i8")


def _payload(chunk: pa.Array) -> bytes | memoryview:
    """The bytes of all values of a chunk without nulls, one behind the other."""
    if pa.types.is_list(chunk.type):
        return np.asarray(chunk.flatten(), dtype="<i4").tobytes()
    _, offsets, data = chunk.buffers()
    ends = np.frombuffer(offsets, np.int32)[[chunk.offset, chunk.offset + len(chunk)]]
    return memoryview(data)[ends[0] : ends[1]]


def _fingerprint(table: pa.Table) -> str:
    """SHA-256 over row count, lengths, contents and labels: the same however rows are chunked."""
    chunks = [chunk for chunk in table.column(0).chunks if len(chunk)]
    digest = hashlib.sha256(f"{table.column_names[0]} {table.num_rows}\n".encode())
    for chunk in chunks:
        digest.update(_lengths(chunk).tobytes())
    for chunk in chunks:
        digest.update(_payload(chunk))
    digest.update(table.column(LABEL).to_numpy().tobytes())
    return digest.hexdigest()


def _from_keras(split: str, download: bool) -> Reviews:
    if split == "unsupervised":
        raise NoInputError(
            "The keras source has the splits train and test.",
            "The unsupervised split was asked for.",
            "Take it from --data aclimdb or a Parquet folder.",
        )
    if download:
        fetch("keras")
    ids_path, words_path = cached_files("keras")
    try:
        import keras
    except ImportError as error:
        raise MissingExtraError("The keras source", error.name or "keras", "train") from error
    # Keras downloads whatever it does not find, and looks elsewhere where its folder is
    # read-only or KERAS_HOME was changed since: there it gets a copy of the verified file.
    ids = published_files("keras")[0]
    keras.utils.get_file(ids.name, origin=ids_path.as_uri(), file_hash=ids.digest)
    # num_words=None would turn the largest id into 2 (unknown).
    train, test = keras.datasets.imdb.load_data(
        path=ids.name,
        num_words=np.iinfo(np.int32).max,
        skip_top=0,
        maxlen=None,
        seed=113,
        start_char=1,
        oov_char=2,
        index_from=3,
    )
    table = _encoded(*(train if split == "train" else test))
    index = json.loads(words_path.read_text(encoding="utf-8"))
    left_out = {"null": 0, "blank": 0, "unlabelled": 0}
    words = tuple(sorted(index, key=index.__getitem__))
    return Reviews("keras", split, table, words, left_out, _fingerprint(table))


def _encoded(sequences: NDArray[Any], labels: NDArray[np.int64]) -> pa.Table:
    """Keras' array of lists (object, (rows,)) as one Arrow list column."""
    lengths = np.fromiter(map(len, sequences), np.int32, len(sequences))
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    values: Iterator[int] = chain.from_iterable(sequences)
    tokens = np.fromiter(values, np.int32, int(offsets[-1]))
    rows = pa.ListArray.from_arrays(pa.array(offsets), pa.array(tokens))
    return pa.table([rows, pa.array(labels.astype(np.int8))], schema=ENCODED_REVIEWS)
