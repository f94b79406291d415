"""The encoding of review text as token ids, for training and scoring alike.

Words are cut as by Keras (`words.keras_words`) or in their normal form (`normal_form`), as the
recipe says. Either way, the word of rank r gets the id r + 3, after 0 for padding, 1 for the start
of a review and 2 for an unknown word (https://keras.io/api/datasets/imdb/).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from imdb_classifier.config import EncodingConfig
from imdb_classifier.errors import BundleError
from imdb_classifier.schema import TEXT, TOKEN_IDS
from imdb_classifier.text.normal_form import normal_words
from imdb_classifier.text.words import Words, keras_words

PADDING: Final = 0
START: Final = 1
UNKNOWN: Final = 2
INDEX_FROM: Final = 3
"""The word of rank r, counted from 1, has the id r + INDEX_FROM."""

ENCODED_ROWS: Final = 2_048
ENCODED_BYTES: Final = 1 << 22
"""Text that is encoded at a time, unless one is longer: the working arrays take 5 to 15 times
as much."""

_FEW: Final = 16
"""Words are few if the vocabulary is so many times as large. Arrow makes a hash table of it at each
call, which costs more than finding few words in one of Python that is kept."""


@dataclass(frozen=True)
class TokenSequences:
    """Token ids of many reviews, concatenated.

    Attributes:
        ids: int32, (tokens,), each in [0, num_words).
        offsets: int64, (reviews + 1,); review i is ``ids[offsets[i]:offsets[i + 1]]``, never empty.
    """

    ids: NDArray[np.int32]
    offsets: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @cached_property
    def lengths(self) -> NDArray[np.int64]:
        """Number of tokens in each review: int64, (reviews,), at least 1."""
        return np.diff(self.offsets)

    def take(self, rows: NDArray[np.int64]) -> TokenSequences:
        """Return the reviews at given positions, in the given order.

        Args:
            rows: int64, (taken,), each in [0, reviews).
        """
        return _pieces(self.ids, self.offsets[rows], self.lengths[rows])

    def tails(self, length: int) -> TokenSequences:
        """Return the last `length` tokens of each review, or all if there are fewer."""
        kept = np.minimum(self.lengths, length)
        if kept.sum() == len(self.ids):
            return self
        return _pieces(self.ids, self.offsets[1:] - kept, kept)

    def heads(self, length: int) -> TokenSequences:
        """Return the first `length` tokens of each review, or all if there are fewer."""
        return _pieces(self.ids, self.offsets[:-1], np.minimum(self.lengths, length))


class Vocabulary:
    """Words in rank order: the most frequent first.

    Args:
        words: Distinct words, lower-cased; the word at position i has rank i + 1.

    Raises:
        BundleError: A word occurs twice.
    """

    def __init__(self, words: Sequence[str] | pa.Array) -> None:
        self.words = pa.array(words, type=pa.string())
        if pc.count_distinct(self.words).as_py() != len(self.words):
            raise BundleError(
                "Each word of a vocabulary must be unique.",
                "This vocabulary repeats a word.",
                "Restore the bundle's vocabulary.txt from the original.",
            )

    def __len__(self) -> int:
        return len(self.words)

    def positions(self, words: pa.Array) -> NDArray[np.int32]:
        """Return the position of each word, or -1 where it is unknown: int32, (words,).

        Args:
            words: string, (words,), valid UTF-8 without nulls.
        """
        if len(words) < len(self) // _FEW:
            position_of = self._position_of
            found = (position_of.get(word, -1) for word in words.to_pylist())
            return np.fromiter(found, np.int32, len(words))
        indices = pc.fill_null(pc.index_in(words, value_set=self.words), -1)
        return np.asarray(indices, np.int32)

    @cached_property
    def _position_of(self) -> dict[str, int]:
        return {word: position for position, word in enumerate(self.words.to_pylist())}

    def head(self, size: int) -> Vocabulary:
        """Return the `size` most frequent words, or all if there are fewer."""
        return Vocabulary(self.words[:size])

    @classmethod
    def count(cls, texts: pa.ChunkedArray | pa.Array, form: str) -> Vocabulary:
        """Return all words of some texts by frequency, and equally frequent ones by appearance.

        Args:
            texts: Any string type, (reviews,), without nulls.
            form: How words are cut and spelled.
        """
        counted = [pc.value_counts(_words(chunk, form).spelled()) for chunk in text_chunks(texts)]
        words = pa.chunked_array([count.field("values") for count in counted], pa.string())
        counts = pa.chunked_array([count.field("counts") for count in counted], pa.int64())
        # value_counts keeps the order of appearance, which group_by does not.
        appearance = pa.array(np.arange(len(words)))
        frequencies = (
            pa.table({"word": words, "count": counts, "appearance": appearance})
            .group_by("word")
            .aggregate([("count", "sum"), ("appearance", "min")])
            .sort_by([("count_sum", "descending"), ("appearance_min", "ascending")])
        )
        return cls(frequencies["word"].combine_chunks())


def encode(
    texts: pa.ChunkedArray | pa.Array, vocabulary: Vocabulary, config: EncodingConfig
) -> TokenSequences:
    """Return the token ids of some texts.

    Each review starts with the start token. Unknown words, and words whose id would not be below
    ``config.num_words``, become 2. Reviews of more than ``config.sequence_length`` tokens are
    truncated at the front, start token included, as by ``pad_sequences(truncating="pre")``.

    Args:
        texts: Any string type, (reviews,), valid UTF-8 without nulls.
        vocabulary: Must contain the words that have an id below ``config.num_words``.
        config: Form of the text, size of the vocabulary and length of the sequences.
    """
    encoded = []
    for chunk in text_chunks(texts):
        words = _words(chunk, config.text_form)
        positions = vocabulary.positions(words.pieces)[::2].copy()
        positions[words.places] = vocabulary.positions(words.respelled)
        known = (positions >= 0) & (positions < config.vocabulary_words)
        word_ids = np.where(known, positions + np.int32(INDEX_FROM + 1), UNKNOWN)
        encoded.append(_with_start(word_ids, words.per_text).tails(config.sequence_length))
    return TokenSequences(
        np.concatenate([part.ids for part in encoded] or [np.empty(0, np.int32)]),
        _offsets(np.concatenate([part.lengths for part in encoded] or [np.empty(0, np.int64)])),
    )


def cap(sequences: TokenSequences, config: EncodingConfig) -> TokenSequences:
    """Return sequences of any ids, limited to the sizes of the encoding.

    Args:
        sequences: Ids of any size, reviews of any length.
        config: Ids from ``num_words`` up become 2; the last ``sequence_length`` tokens are kept.
    """
    ids = sequences.ids
    return TokenSequences(
        np.where(ids < config.num_words, ids, np.int32(UNKNOWN)), sequences.offsets
    ).tails(config.sequence_length)


def encode_reviews(
    reviews: pa.Table, vocabulary: Vocabulary, config: EncodingConfig
) -> TokenSequences:
    """Return the token ids of reviews, which are given as text or as Keras' own ids.

    Args:
        reviews: `dataset.REVIEWS` or `dataset.ENCODED_REVIEWS`.
        vocabulary: As in `encode`.
        config: As in `encode`.
    """
    if TEXT in reviews.column_names:
        return encode(reviews[TEXT], vocabulary, config)
    lists = reviews[TOKEN_IDS].combine_chunks()
    lengths = pc.list_value_length(lists).to_numpy()
    return cap(TokenSequences(lists.flatten().to_numpy(), _offsets(lengths)), config)


def words_of(text: str, form: str) -> list[str]:
    """Return the words of a text as a vocabulary lists them: in order, lower-cased."""
    words: list[str] = _words(pa.array([text], pa.string()), form).spelled().to_pylist()
    return words


def text_chunks(texts: pa.ChunkedArray | pa.Array) -> list[pa.Array]:
    """Return the texts in slices, so that the working arrays fit in the CPU's caches."""
    arrays = texts.chunks if isinstance(texts, pa.ChunkedArray) else [texts]
    return [
        piece
        for array in arrays
        for start in range(0, len(array), ENCODED_ROWS)
        for piece in _halves(array.slice(start, ENCODED_ROWS))
    ]


def _halves(texts: pa.Array) -> list[pa.Array]:
    """Return texts, cut where they are longer than `ENCODED_BYTES` together."""
    half = len(texts) // 2
    if half == 0 or texts.nbytes <= ENCODED_BYTES:
        return [texts]
    return _halves(texts.slice(0, half)) + _halves(texts.slice(half))


def _words(texts: pa.Array, form: str) -> Words:
    """Return the words of texts of any string type, at least one, without nulls."""
    cut = normal_words if form == "normal" else keras_words
    return cut(texts.cast(pa.string()))


def _with_start(word_ids: NDArray[np.int32], words_of_row: NDArray[np.int64]) -> TokenSequences:
    """Return the word ids of many reviews, with the start token in front of each review."""
    offsets = _offsets(words_of_row + 1)
    ids = np.empty(offsets[-1], dtype=np.int32)
    is_start = np.zeros(len(ids), dtype=np.bool_)
    is_start[offsets[:-1]] = True
    ids[is_start] = START
    ids[~is_start] = word_ids
    return TokenSequences(ids, offsets)


def _pieces(
    ids: NDArray[np.int32], begins: NDArray[np.int64], lengths: NDArray[np.int64]
) -> TokenSequences:
    """Return pieces of some ids, each a review, by where they begin and how long they are."""
    offsets = _offsets(lengths)
    positions = np.arange(offsets[-1]) + np.repeat(begins - offsets[:-1], lengths)
    return TokenSequences(ids[positions], offsets)


def _offsets(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return where each piece starts and the last one ends: int64, (pieces + 1,), from 0 up."""
    offsets = np.zeros(len(lengths) + 1, dtype=np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets
