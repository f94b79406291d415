"""N-grams in which a word of opinion is negated, which weigh against the word.

Reviews hold few of the ways to negate an opinion, and long reviews say little about each, so the
regression leaves "not bad" nearly as bad as "bad". These n-grams get what the regression gave to
the word, nearly twice and with the other sign, so that what is left of the word is its opposite.
This also holds for n-grams that no review contains. N-grams of more than these words, such as
"good film" in "not a good film", keep their weights, and may still say otherwise.

A word is one of opinion if its weight is large, and if it is either in ``opinion_words.txt`` or
negated in some n-gram of the reviews. The list was made from the lexicon of VADER (Hutto and
Gilbert, 2014); its license is in the file.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from imdb_classifier.config import TeachersConfig
from imdb_classifier.text.encoding import INDEX_FROM, Vocabulary
from imdb_classifier.text.ngrams import fingerprints_of

_NEGATIONS: Final = (
    *("not", "never", "no", "nothing", "hardly", "without", "cannot", "can't", "couldn't"),
    *("don't", "doesn't", "didn't", "won't", "wouldn't", "isn't", "aren't", "wasn't", "weren't"),
)
_FILLERS: Final = ("a", "an", "the", "that", "so", "too", "very", "really", "any", "all")
"""Words that may stand between a negation and the opinion."""
_OPINION_WORDS: Final = Path(__file__).with_name("opinion_words.txt")


def negated_ngrams(
    vocabulary: Vocabulary,
    found: Sequence[NDArray[np.uint32]],
    weights: NDArray[np.float32],
    config: TeachersConfig,
    most: int,
) -> tuple[NDArray[np.uint32], NDArray[np.float32]]:
    """Return n-grams in which an opinion is negated, and what is added to their weights.

    Args:
        vocabulary: The words that have an id.
        found: For each part of the reviews, see `ngrams.REVIEW_PARTS`, the fingerprints of the
            n-grams there: uint32, (n-grams,), ascending.
        weights: float32, (n-grams,), of all parts in turn, from `ngram_weights.regress_weights`.
        config: The settings of the teachers.
        most: Number of n-grams to return at most; those with the largest weights are.

    Returns:
        uint32, (negated,), fingerprints; float32, (negated,), none beyond the largest of `weights`.
    """
    negations, fillers, opinions = (
        _ids_of(vocabulary, words) for words in (_NEGATIONS, _FILLERS, _opinion_words())
    )
    words = np.arange(len(vocabulary), dtype=np.int32) + (INDEX_FROM + 1)
    by_part = np.split(weights, np.cumsum([len(prints) for prints in found])[:-1])
    of_words = np.stack(
        [
            _weights_of(words[:, None], part, prints, by_part[part])
            for part, prints in enumerate(found)
        ]
    )
    total = of_words.sum(axis=0)
    is_large = np.abs(total) >= config.opinion_weight
    is_large &= ~np.isin(words, [*negations, *fillers])
    large = words[is_large]
    runs = [_product(negations, large), _product(negations, fillers, large)]
    are_seen = [np.isin(fingerprints_of(run), found[0]) for run in runs]
    negated_there = [run[seen, -1] for run, seen in zip(runs, are_seen, strict=True)]
    opinions = np.concatenate([opinions, *negated_there])
    largest = np.abs(weights).max(initial=0)
    prints, taken = [], []
    for run, are in zip(runs, are_seen, strict=True):
        is_opinion = np.isin(run[:, -1], opinions)
        kept, seen = run[is_opinion], are[is_opinion]
        places = kept[:, -1] - (INDEX_FROM + 1)
        wanted = config.negated * np.where(seen, of_words[:, places], 0)
        # One that no review contains is in no part of one, so its weight is that of all parts.
        wanted[0, ~seen] = config.negated * total[places[~seen]]
        if len(found) > 1:
            # What is too much for one weight is left to the end, which short texts consist of.
            wanted[1] += wanted[0] - np.clip(wanted[0], -largest, largest)
        for part, of_part in enumerate(np.clip(wanted, -largest, largest)):
            has_weight = of_part != 0
            prints.append(fingerprints_of(kept[has_weight], part))
            taken.append(of_part[has_weight])
    added = -np.concatenate(taken).astype(np.float32)
    chosen = np.sort(np.argsort(-np.abs(added), kind="stable")[:most])
    return np.concatenate(prints)[chosen], added[chosen]


@cache
def _opinion_words() -> tuple[str, ...]:
    lines = _OPINION_WORDS.read_text("utf-8").splitlines()
    return tuple(line for line in lines if not line.startswith("#"))


def _ids_of(vocabulary: Vocabulary, words: Sequence[str]) -> NDArray[np.int32]:
    """Return the ids of those words that have one."""
    places = vocabulary.positions(pa.array(words, pa.string()))
    return places[places >= 0] + np.int32(INDEX_FROM + 1)


def _weights_of(
    ngrams: NDArray[np.int32],
    part: int,
    prints: NDArray[np.uint32],
    weights: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Return the weights of n-grams: float32, (n-grams,), 0 for those that have none."""
    wanted = fingerprints_of(ngrams, part)
    if len(prints) == 0:
        return np.zeros(len(wanted), np.float32)
    places = np.minimum(np.searchsorted(prints, wanted), len(prints) - 1)
    return np.where(prints[places] == wanted, weights[places], np.float32(0))


def _product(*ids: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return all runs of one id of each kind: int32, (runs, kinds)."""
    return np.stack(np.meshgrid(*ids, indexing="ij"), axis=-1).reshape(-1, len(ids))
