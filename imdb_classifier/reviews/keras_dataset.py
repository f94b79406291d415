"""The IMDB reviews as Keras offers them: token ids and a word index, without their text."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa

from imdb_classifier.errors import MissingExtraError, NoInputError
from imdb_classifier.reviews.dataset import Reviews, fingerprint_of
from imdb_classifier.reviews.download import fetch
from imdb_classifier.reviews.sources import cached_files, published_files
from imdb_classifier.schema import ENCODED_REVIEWS


def read_keras(split: str, download: bool) -> Reviews:
    """One split of Keras' copy, in Keras' own shuffled order.

    Args:
        split: ``train`` or ``test``.
        download: Whether to fetch what the cache lacks.

    Raises:
        NoInputError: The unsupervised split was asked for.
        NoReviewsError: A file is not in the cache, or its download failed.
        ChecksumError: A file is not the published one.
        MissingExtraError: Keras is not installed.
    """
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
    sequences, labels = train if split == "train" else test
    # A list of rows: sequences of one length come as an array of two dimensions.
    table = pa.table([list(sequences), labels.astype(np.int8)], schema=ENCODED_REVIEWS)
    index = json.loads(words_path.read_text(encoding="utf-8"))
    words = tuple(sorted(index, key=index.__getitem__))
    left_out = {"null": 0, "blank": 0, "unlabeled": 0}
    return Reviews("keras", split, table, words, left_out, fingerprint_of(table))
