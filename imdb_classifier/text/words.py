"""Words of texts as slices of one buffer of UTF-8 bytes, and how Keras cuts them.

Every character between two words is a single ASCII byte, which never occurs in a longer character.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

FILTER: Final = '!"#$%&()*+,-./:;<=>?@[\\]^_`{|}~\t\n'
"""Keras' punctuation filter (``keras.preprocessing.text.Tokenizer``), without the apostrophe."""

_IN_WORD: Final = bytes(chr(byte) not in f"{FILTER} " for byte in range(256))
"""For each byte of UTF-8 text, 1 if it belongs to a word, else 0."""


@dataclass(frozen=True)
class Words:
    """The words of some texts.

    Attributes:
        pieces: The words as they are cut out of the texts, and between any two of them the gap:
            string, (2 * words - 1,). A view, since a copy of all words costs more than gaps do.
        per_text: Number of words in each text: int64, (texts,).
        places: Positions of the words that are spelled otherwise, ascending: int64, (respelled,).
        respelled: How these are spelled: string, (respelled,).
    """

    pieces: pa.StringArray
    per_text: NDArray[np.int64]
    places: NDArray[np.int64]
    respelled: pa.StringArray

    def spelled(self) -> pa.StringArray:
        """Return all words: string, (words,)."""
        cut = self.pieces[::2]
        is_respelled = np.zeros(len(cut), np.bool_)
        is_respelled[self.places] = True
        return pc.replace_with_mask(cut, is_respelled, self.respelled)


def keras_words(texts: pa.StringArray) -> Words:
    """Return the words that Keras' tokenizer finds: lower-cased, cut at its filter and at spaces.

    Args:
        texts: string, (texts,), at least one, without nulls.
    """
    characters, rows = buffer_of(texts, " ")
    borders = borders_of(np.frombuffer(bytes(characters).translate(_IN_WORD), np.bool_))
    pieces, per_text = pieces_between(borders, characters), words_per_text(borders, rows)
    return Words(pieces, per_text, np.empty(0, np.int64), pa.array([], pa.string()))


def buffer_of(texts: pa.StringArray, end: str) -> tuple[memoryview, NDArray[np.int32]]:
    """Return lower-cased texts as one buffer of UTF-8, and where each begins and the last ends.

    Args:
        texts: string, (texts,), at least one, without nulls.
        end: One ASCII character that follows each text, so that no word reaches into the next one.

    Returns:
        The buffer; int32, (texts + 1,).
    """
    lowered = pc.binary_join_element_wise(pc.utf8_lower(texts), "", end)
    rows = np.frombuffer(lowered.buffers()[1], np.int32)[lowered.offset :][: len(lowered) + 1]
    return memoryview(lowered.buffers()[2])[rows[0] : rows[-1]], rows - rows[0]


def borders_of(in_word: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Return starts and ends of words, which alternate because every text ends in a gap.

    Args:
        in_word: bool, (bytes,), whether each byte belongs to a word.
    """
    return np.flatnonzero(np.diff(in_word, prepend=False)).astype(np.int32)


def pieces_between(borders: NDArray[np.int32], characters: bytes | memoryview) -> pa.StringArray:
    """Return the words of a buffer and the gaps between them, by the `borders_of` words.

    Returns:
        string, (2 * words - 1,), or (0,) without words.
    """
    return pa.StringArray.from_buffers(
        max(len(borders) - 1, 0), pa.py_buffer(borders), pa.py_buffer(characters)
    )


def words_per_text(borders: NDArray[np.int32], rows: NDArray[np.int32]) -> NDArray[np.int64]:
    """Return the number of words in each text: int64, (texts,)."""
    return np.diff(np.searchsorted(borders[::2], rows))
