"""N-grams in which an opinion is negated, which weigh against the word of opinion.

Reviews hold few of the ways to negate an opinion, and long reviews say little about each, so the
regression leaves "not bad" nearly as bad as "bad". These n-grams get what the regression gave to
the word, nearly twice and with the other sign, so that what is left of the word is its opposite.
This also holds for n-grams that no review contains. N-grams of more than these words, such as
"good film" in "not a good film", keep their weights, and may still say otherwise.

A word is one of opinion if its weight is not small. For common ones (`_PLAIN`), what the regression
learned of an n-gram that negates them is taken back where it has the sign of the word itself: a few
reviews that say "isn't good" and are positive make no praise of it. A negation is blame by itself,
so negated blame gets more.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from imdb_classifier.config import TeachersConfig
from imdb_classifier.text.encoding import INDEX_FROM, Vocabulary
from imdb_classifier.text.ngrams import fingerprints_of

_NEGATIONS: Final = (
    *("not", "never", "no", "none", "nothing", "nobody", "nor", "neither", "hardly", "without"),
    *("less", "cannot", "can't", "couldn't", "don't", "doesn't", "didn't", "won't", "wouldn't"),
    *("isn't", "aren't", "wasn't", "weren't", "ain't", "hasn't", "haven't", "hadn't", "shouldn't"),
)
_FILLERS: Final = (
    *("a", "an", "the", "that", "so", "too", "very", "really", "any", "all"),
    *("even", "be", "been", "of", "one", "at", "more"),
)
"""Words that may stand between a negation and the opinion."""
_PLAIN: Final = (
    *("good", "great", "nice", "fine", "excellent", "amazing", "wonderful", "brilliant", "perfect"),
    *("beautiful", "fun", "funny", "interesting", "entertaining", "enjoyable", "impressive"),
    *("convincing", "believable", "original", "clever", "worth", "recommend", "enjoy", "love"),
    *("bad", "terrible", "awful", "horrible", "poor", "boring", "dull", "stupid", "disappointing"),
)
"""Common words of opinion."""


def negated_ngrams(
    vocabulary: Vocabulary,
    found: Sequence[NDArray[np.uint32]],
    weights: NDArray[np.float32],
    config: TeachersConfig,
    most: int,
) -> tuple[NDArray[np.uint32], NDArray[np.float32]]:
    """Return n-grams in which an opinion is negated, and what is added to their weights.

    Args:
        vocabulary: The words that have an id, by descending frequency.
        found: For each part of the reviews, see `ngrams.REVIEW_PARTS`, the fingerprints of the
            n-grams there: uint32, (n-grams,), ascending.
        weights: float32, (n-grams,), of all parts in turn, from `ngram_weights.regress_weights`.
        config: The settings of the teachers.
        most: Number of n-grams to return at most. Those are chosen that would be the strongest, see
            `ngram_weights.strongest`, if words stood beside each other by chance and were as
            frequent as Zipf's law says: in proportion to 1 / rank.

    Returns:
        uint32, (negated,), fingerprints; float32, (negated,), none beyond the largest of `weights`.
    """
    negations, fillers, plain = (
        _ids_of(vocabulary, words) for words in (_NEGATIONS, _FILLERS, _PLAIN)
    )
    words = np.arange(len(vocabulary), dtype=np.int32) + (INDEX_FROM + 1)
    by_part = np.split(weights, np.cumsum([len(prints) for prints in found])[:-1])
    parts = list(zip(found, by_part, strict=True))

    def weights_of(ngrams: NDArray[np.int32]) -> NDArray[np.float32]:
        """Return the weights in each part: float32, (parts, n-grams), 0 for those without one."""
        return np.stack(
            [_looked_up(fingerprints_of(ngrams, part), *known) for part, known in enumerate(parts)]
        )

    of_words = weights_of(words[:, None])
    total = of_words.sum(axis=0)
    is_opinion = np.abs(total) >= config.opinion_weight
    is_opinion &= ~np.isin(words, [*negations, *fillers])
    opinions = words[is_opinion] if config.negated else words[:0]
    largest = np.abs(weights).max(initial=0)
    prints, added, strengths = [], [], []
    for run in (_product(negations, opinions), _product(negations, fillers, opinions)):
        places = run[:, -1] - (INDEX_FROM + 1)
        are_seen = np.isin(fingerprints_of(run), found[0])
        # One that no review contains is in no part of one, so its weight is that of all parts.
        taken = np.where(are_seen, of_words[:, places], 0)
        taken[0] += np.where(are_seen, 0, total[places])
        taken *= config.negated
        end = min(1, len(found) - 1)
        taken[end] -= np.where(total[places] < 0, config.negation_weight, 0)
        # What is too much for one weight is left to the end, which short texts consist of.
        taken[end] += taken[0] - np.clip(taken[0], -largest, largest)
        learned = weights_of(run)
        is_plain = np.isin(run[:, -1], plain)
        taken += np.where(is_plain & (learned * total[places] > 0), learned, 0)
        chances = np.sqrt(np.prod(1 / (run - INDEX_FROM), axis=1))
        for part, of_part in enumerate(np.clip(taken, -largest, largest)):
            has_weight = of_part != 0
            prints.append(fingerprints_of(run[has_weight], part))
            added.append(-of_part[has_weight])
            strengths.append(np.abs(of_part * chances)[has_weight])
    chosen = np.sort(np.argsort(-np.concatenate(strengths), kind="stable")[:most])
    return np.concatenate(prints)[chosen], np.concatenate(added)[chosen].astype(np.float32)


def _ids_of(vocabulary: Vocabulary, words: Sequence[str]) -> NDArray[np.int32]:
    """Return the ids of those words that have one."""
    places = vocabulary.positions(pa.array(words, pa.string()))
    return places[places >= 0] + np.int32(INDEX_FROM + 1)


def _looked_up(
    wanted: NDArray[np.uint32], prints: NDArray[np.uint32], weights: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return the weights of the wanted fingerprints, 0 for those not in `prints`, which ascend."""
    if len(prints) == 0:
        return np.zeros(len(wanted), np.float32)
    places = np.minimum(np.searchsorted(prints, wanted), len(prints) - 1)
    return np.where(prints[places] == wanted, weights[places], np.float32(0))


def _product(*ids: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return all runs of one id of each kind: int32, (runs, kinds)."""
    return np.stack(np.meshgrid(*ids, indexing="ij"), axis=-1).reshape(-1, len(ids))
