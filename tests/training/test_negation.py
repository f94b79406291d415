from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from imdb_classifier.config import TeachersConfig
from imdb_classifier.text.encoding import Vocabulary
from imdb_classifier.text.ngrams import Ngrams, fingerprints_of
from imdb_classifier.training.ngram_models.negation import negated_ngrams

WORDS = ["not", "never", "very", "dull", "superb", "vampires", "subtle", "dismal", "isn't", "bad"]
IDS = {word: 4 + position for position, word in enumerate(WORDS)}
CONFIG = TeachersConfig(2, 8, 3, 0.5, opinion_weight=2, negated=2, negation_weight=0)
LEARNED = {
    "dull": (-3.0, -1.0),
    "superb": (2.5, 0.5),
    "vampires": (-6.0, 0.0),
    "subtle": (1.5, 1.0),
    "dismal": (-0.5, -0.5),
    "not": (-5.0, -5.0),
    "very": (2.0, 0.0),
    "not dull": (-0.25, 0.0),
    "not subtle": (0.5, 0.0),
    "bad": (-2.0, 0.0),
    "not bad": (-1.5, 0.5),
}


def prints(ngrams: list[str], part: int = 0) -> NDArray[np.uint32]:
    rows = ([IDS[word] for word in ngram.split()] for ngram in ngrams)
    return np.concatenate([fingerprints_of(np.array([row], np.int32), part) for row in rows])


def negated(config: TeachersConfig = CONFIG, most: int = 10_000) -> dict[int, float]:
    """What is added to the weights, by fingerprint."""
    found, weights = [], []
    for part in (0, 1):
        of_part = prints(list(LEARNED), part)
        order = np.argsort(of_part)
        found.append(of_part[order])
        weights.append(np.array([values[part] for values in LEARNED.values()], np.float32)[order])
    listed, added = negated_ngrams(Vocabulary(WORDS), found, np.concatenate(weights), config, most)
    assert listed.dtype == np.uint32
    assert added.dtype == np.float32
    assert len(listed) == len(np.unique(listed))
    return dict(zip(listed.tolist(), added.tolist(), strict=True))


def of(ngram: str, part: int = 0) -> int:
    return int(prints([ngram], part)[0])


def test_a_negated_opinion_is_its_opposite_in_every_part() -> None:
    added = negated()
    # In words: dull, not, and what is added, are 3 and 1 in place of -3 and -1.
    assert added[of("not dull")] == 6
    assert added[of("not dull", 1)] == 2


@pytest.mark.parametrize(
    ("ngram", "whole", "end"),
    [("never dull", 6, 2), ("isn't dull", 6, 2), ("not very dull", 6, 2), ("isn't superb", -6, 0)],
)
def test_one_that_no_review_contains_is_the_opposite_of_all_parts(
    ngram: str, whole: float, end: float
) -> None:
    added = negated()
    # 8 would be beyond the largest weight that was learned, which is 6.
    assert added[of(ngram)] == whole
    assert added.get(of(ngram, 1), 0) == end


def test_opinions_are_words_of_large_weight() -> None:
    added = negated()
    assert added[of("not subtle")] == -3
    assert added[of("never subtle")] == -5
    # Not those of small weight, nor the negations and what stands between.
    for ngram in ("not dismal", "never not", "not very"):
        assert of(ngram) not in added


def test_what_reviews_say_for_the_same_side_is_taken_back_if_anybody_knows_the_word() -> None:
    added = negated()
    assert added[of("not bad")] == 4 + 1.5
    # But not what they say for the other side.
    assert of("not bad", 1) not in added


def test_negated_blame_makes_up_for_the_negation() -> None:
    added = negated(replace(CONFIG, negation_weight=1.5))
    assert added[of("not dull")] == 6
    assert added[of("not dull", 1)] == 3.5
    # Praise that is negated is blame anyhow.
    assert added[of("not subtle", 1)] == negated()[of("not subtle", 1)]


def test_those_are_kept_that_move_many_reviews_much() -> None:
    # All of them weigh 6, and the words stand in the list by frequency.
    few = ["not dull", "not superb", "not vampires"]
    assert {*negated(most=4)} == {*map(of, few), of("not vampires", 1)}
    assert {*negated(most=4)} < {*negated(most=8)} < {*negated()}


def test_nothing_is_added_without_words_of_opinion() -> None:
    assert negated(replace(CONFIG, negated=0)) == {}
    assert negated(replace(CONFIG, opinion_weight=100)) == {}


def test_what_is_added_is_looked_up_like_any_ngram() -> None:
    added = negated()
    ngrams = Ngrams(np.array(sorted(added), np.uint32), in_parts=True)
    assert (ngrams.ids_of(prints(["not dull", "isn't very superb"])) > 0).all()
