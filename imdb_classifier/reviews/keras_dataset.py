"""The IMDB reviews as distributed with Keras: token ids and a word index, without text."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa

from imdb_classifier.errors import MissingExtraError, NoInputError
from imdb_classifier.reviews.dataset import ENCODED_REVIEWS, Reviews, fingerprint_of
from imdb_classifier.reviews.download import fetch
from imdb_classifier.reviews.sources import cached_files, published_files


def read_keras(split: str, download: bool) -> Reviews:
    """Read one split of Keras' copy, in Keras' own shuffled order.

    Args:
        split: ``train`` or ``test``.
        download: Whether to download files that are missing from the cache.

    Raises:
        NoInputError: The split is ``unsupervised``, which Keras' copy does not have.
        NoReviewsError: A file is not in the cache, or its download failed.
        ChecksumError: A file does not have its published checksum.
        MissingExtraError: Keras is not installed.
    """
    if split == "unsupervised":
        raise NoInputError(
            "The keras source has only the splits train and test.",
            "The unsupervised split was requested.",
            "Use `data=aclimdb` or a Parquet folder for it.",
        )
    if download:
        fetch("keras")
    ids_path, words_path = cached_files("keras")
    try:
        import keras
    except ImportError as error:
        raise MissingExtraError("The keras source", error.name or "keras", "train") from error
    # Keras downloads files that it does not find, and looks in another folder if its own is
    # read-only or KERAS_HOME has changed since. This call puts a verified copy there.
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
    sequences, labels = train if split == "train" else test
    # As a list of rows: sequences of equal length come as a two-dimensional array.
    table = pa.table([list(sequences), labels.astype(np.int8)], schema=ENCODED_REVIEWS)
    index = json.loads(words_path.read_text(encoding="utf-8"))
    words = tuple(sorted(index, key=index.__getitem__))
    left_out = {"null": 0, "blank": 0, "unlabeled": 0}
    return Reviews("keras", split, table, words, left_out, fingerprint_of(table))
