"""Slices of the test rows, by the words of each text, on which a new model may not be worse."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from imdb_classifier.text.batch_profile import LENGTH_EDGES
from imdb_classifier.text.encoding import INDEX_FROM, UNKNOWN, TokenSequences, Vocabulary

# Keras' filter keeps apostrophes, so "don't" is one word.
NEGATIONS: Final = r"^(not|no|never|none|nothing|nobody|nowhere|neither|nor|cannot|without|\w+n't)$"
# Words that say how good something is, before any model says so.
OPINIONS: Final = (
    r"^(good|bad|great|worst|best|worth|funny|boring|interesting|enjoy(ed|able)?|lik(e|ed|able)|"
    r"lov(e|ed|ely)|hat(e|ed)|recommend(ed)?|wast(e|ed)|terrible|awful|horrible|perfect|brilliant|"
    r"excellent|amazing|wonderful|disappoint(ed|ing|ment)?|impress(ed|ive)|convincing|believable|"
    r"original|scary|entertaining|stupid|dull|fail(s|ed|ure)?|fun|poor|nice|happy|sorry)$"
)
SCOPE: Final = 3
"""Words after a negation that it may turn round."""
LEAST_ROWS: Final = 30
"""A slice of fewer rows says too little to compare models on it."""
MANY_UNKNOWN: Final = 0.1
"""Minimum share of unknown words in the slice "many unknown words"."""


def slices_of(
    untruncated: TokenSequences, vocabulary: Vocabulary, sequence_length: int
) -> Mapping[str, NDArray[np.bool_]]:
    """Assign texts to slices; a text can be in several, and empty slices are left out.

    Args:
        untruncated: The texts, encoded with a model's vocabulary and not truncated.
        vocabulary: This vocabulary.
        sequence_length: Maximum number of tokens that the model reads.

    Returns:
        A mask of the texts, bool (texts,), for each slice by name: ranges of length in words, and
        the slices of `slices_by_content`.
    """
    words = untruncated.lengths - 1
    lowest = (0, *(edge + 1 for edge in LENGTH_EDGES))
    names = [f"{low}-{edge} words" for low, edge in zip(lowest, LENGTH_EDGES, strict=False)]
    names.append(f"{lowest[-1]}+ words")
    by_length = np.searchsorted(LENGTH_EDGES, words)
    slices = {name: by_length == number for number, name in enumerate(names)}
    slices |= slices_by_content(untruncated, vocabulary, sequence_length)
    return {name: rows for name, rows in slices.items() if rows.any()}


def slices_by_content(
    untruncated: TokenSequences, vocabulary: Vocabulary, sequence_length: int
) -> Mapping[str, NDArray[np.bool_]]:
    """Assign texts to slices that do not depend on their length alone.

    Args:
        untruncated: As for `slices_of`.
        vocabulary: As for `slices_of`.
        sequence_length: As for `slices_of`.

    Returns:
        A mask of the texts, bool (texts,), for each slice by name: texts in which an opinion is
        negated, truncated texts, and texts with many words outside the vocabulary. It may be empty.
    """
    negations, opinions = (
        np.isin(untruncated.ids, _ids_of(pattern, vocabulary)) for pattern in (NEGATIONS, OPINIONS)
    )
    text = np.repeat(np.arange(len(untruncated)), untruncated.lengths)
    negated = np.zeros_like(negations)
    for words_after in range(1, SCOPE + 1):
        negated[words_after:] |= (
            opinions[words_after:]
            & negations[:-words_after]
            & (text[words_after:] == text[:-words_after])
        )
    unknown = _per_text(untruncated.ids == UNKNOWN, untruncated)
    return {
        "negated opinion": _per_text(negated, untruncated) > 0,
        "truncated": untruncated.lengths > sequence_length,
        "many unknown words": unknown >= np.maximum(MANY_UNKNOWN * (untruncated.lengths - 1), 1),
    }


def _ids_of(pattern: str, vocabulary: Vocabulary) -> NDArray[np.int64]:
    """Return the ids of the words that match a pattern, int64 (words,)."""
    matches = pc.match_substring_regex(vocabulary.words, pattern)
    return np.flatnonzero(matches.to_numpy(zero_copy_only=False)) + INDEX_FROM + 1


def _per_text(tokens: NDArray[np.bool_], sequences: TokenSequences) -> NDArray[np.int64]:
    """Count the marked tokens of each text, int64 (texts,); no text may be empty."""
    counts: NDArray[np.int64] = np.add.reduceat(tokens, sequences.offsets[:-1], dtype=np.int64)
    return counts
