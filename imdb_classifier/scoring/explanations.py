"""What moved the score of a text: its n-grams, exactly, and its words, by occlusion.

A network adds the log-odds of its LSTM to those of the text's n-grams. The latter are a sum of one
number for each n-gram. The LSTM's are not, so each word is replaced by the unknown word in turn
(occlusion), and the change of the log-odds is the word's contribution. Source: J. Li, W. Monroe,
D. Jurafsky, Understanding Neural Networks through Representation Erasure, arXiv:1612.08220 (2016).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from imdb_classifier.errors import ConfigurationError, UnsupportedDataError
from imdb_classifier.registry.access import CHAMPION
from imdb_classifier.registry.versions import Registry
from imdb_classifier.scoring.frame_kinds import to_text
from imdb_classifier.scoring.scorer import Scorer, kept_scorer_for
from imdb_classifier.scoring.text_columns import has_text
from imdb_classifier.storage.paths import StrPath
from imdb_classifier.text.encoding import PADDING, START, UNKNOWN, TokenSequences, encode, words_of
from imdb_classifier.text.ngrams import LONGEST, REVIEW_PARTS, fingerprints

OCCLUDED_TOKENS: Final = 1 << 20
"""Tokens of the copies of a text that are scored at a time, unless one is longer."""
START_OF_TEXT: Final = "(start)"
"""What stands for the start of the text in an n-gram."""
UNKNOWN_WORD: Final = "(unknown)"
"""What stands for a word outside the vocabulary in an n-gram."""


@dataclass(frozen=True)
class NgramContribution:
    """What an n-gram of one to three words adds to the log-odds of *positive*.

    Attributes:
        ngram: Its words, lower-cased and without punctuation; ``(start)`` is the start of the text,
            ``(unknown)`` a word outside the vocabulary.
        log_odds: What it adds, wherever it stands; below 0 if it speaks for *negative*.
    """

    ngram: str
    log_odds: float


@dataclass(frozen=True)
class WordContribution:
    """How the log-odds of *positive* would change if the model did not know a word.

    The contributions of all words do not add up: words that need each other count for each of them.

    Attributes:
        word: The word, lower-cased and without punctuation, once for each place in the text.
        log_odds: The log-odds with the word minus those without it; below 0 if it speaks for
            *negative*.
        ngram_log_odds: The part of it that comes from n-grams.
        lstm_log_odds: The part of it that comes from the LSTM.
    """

    word: str
    log_odds: float
    ngram_log_odds: float
    lstm_log_odds: float


@dataclass(frozen=True)
class Explanation:
    """What moved the score of one text.

    Attributes:
        probability: The probability of positive, in [0, 1]; None if there is no text.
        ngram_log_odds: The sum of the contributions of all n-grams; 0 in models without n-grams.
        lstm_log_odds: The log-odds of the LSTM. The sum of both gives the probability.
        words: The words that moved the score most, the largest contribution first, whatever its
            sign.
        ngrams: The n-grams that moved the score most, likewise.
    """

    probability: float | None
    ngram_log_odds: float = 0.0
    lstm_log_odds: float = 0.0
    words: tuple[WordContribution, ...] = ()
    ngrams: tuple[NgramContribution, ...] = ()


def explain(
    texts: Sequence[str | None],
    *,
    model: StrPath | Scorer = CHAMPION,
    top: int | None = 10,
    registry: Registry | None = None,
) -> list[Explanation]:
    """Return what moved the score of each text.

    A text of n words takes about as long as scoring n texts of this length.

    Args:
        texts: The texts, as a list, a Series, or an array.
        model: ``@champion``, a version's id, the path of a bundle, or a `Scorer`, as for
            `score_dataframe`.
        top: How many words, and how many n-grams, to return for each text; None for all of them.
        registry: Where a reference is looked up; by default `Registry.at()`.

    Returns:
        One explanation for each text. Where the text is missing, empty or blank, the probability is
        None and there are no words and n-grams.

    Raises:
        UnsupportedDataError: A single text was passed.
        ConfigurationError: ``top`` is below 1.
        TextTypeError: Some of the texts are not text, or not valid Unicode.
        UnknownModelError: There is no such model.
        UnapprovedModelError: The version has not passed the promotion checks.
        BundleError: The model is damaged.

    Example:
        >>> from imdb_classifier import explain
        >>> (found,) = explain(["It was a dreadful film about a train."])
        >>> found.words[0].word
        'dreadful'
    """
    if isinstance(texts, str | bytes):
        raise UnsupportedDataError(
            "explain takes several texts.", "a single text", "Pass a list of texts."
        )
    if top is not None and top < 1:
        raise ConfigurationError(
            "`top` must be at least 1.", f"It is {top}.", "Leave it out for the 10 largest."
        )
    column = to_text(texts, None)
    scorable = pc.fill_null(has_text(column), False).to_pylist()
    with kept_scorer_for(model, registry) as scorer, _Explainer(scorer) as explainer:
        return [
            explainer.explain(text, top) if is_text else Explanation(None)
            for text, is_text in zip(column.to_pylist(), scorable, strict=True)
        ]


class _Explainer:
    """A model taken apart: its n-grams, and a scorer for its LSTM alone."""

    def __init__(self, scorer: Scorer) -> None:
        bundle = scorer.bundle
        self._scorer, self._lstm = scorer, scorer
        self._ngrams = bundle.ngrams
        if bundle.ngrams is not None:
            self._lstm = Scorer(bundle.without_ngrams(), scorer.threads)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._lstm is not self._scorer:
            self._lstm.close()

    def explain(self, text: str, top: int | None) -> Explanation:
        bundle = self._scorer.bundle
        texts = pa.array([text], pa.string())
        tokens = encode(texts, bundle.vocabulary, bundle.recipe.encoding)
        words_shown = words_of(text, bundle.recipe.encoding.text_form)
        shown = [START_OF_TEXT, *words_shown][-len(tokens.ids) :]
        # An n-gram knows no more of such a word than that it is unknown.
        for at in np.flatnonzero(tokens.ids == UNKNOWN):
            shown[at] = UNKNOWN_WORD
        ngrams = self._of_ngrams(tokens, shown)
        (of_ngrams,), (of_lstm,) = self._log_odds(tokens)
        (probability,) = self._scorer.probabilities(texts).to_pylist()
        words = [
            WordContribution(
                shown[at],
                of_ngrams + of_lstm - left_ngrams - left_lstm,
                of_ngrams - left_ngrams,
                of_lstm - left_lstm,
            )
            for at, left_ngrams, left_lstm in self._without_each_word(tokens)
        ]
        return Explanation(
            probability=probability,
            ngram_log_odds=math.fsum(found.log_odds for found in ngrams),
            lstm_log_odds=of_lstm,
            words=tuple(sorted(words, key=_size)[:top]),
            ngrams=tuple(sorted(ngrams, key=_size)[:top]),
        )

    def _of_ngrams(self, tokens: TokenSequences, shown: list[str]) -> list[NgramContribution]:
        """Return the contribution of each n-gram of one text, in all its places."""
        if self._ngrams is None:
            return []
        log_odds_of, sums = self._scorer.bundle.ngram_log_odds, dict[str, float]()
        for part in self._ngrams.parts:
            words = (
                shown[: REVIEW_PARTS[part]]
                if REVIEW_PARTS[part] > 0
                else shown[REVIEW_PARTS[part] :]
            )
            # As in `fingerprints`: all of one token, then all of two, and so on.
            ngrams = [
                " ".join(words[start : start + length])
                for length in range(1, LONGEST + 1)
                for start in range(len(words) - length + 1)
            ]
            found, _ = fingerprints(tokens, part)
            ids, first = np.unique(self._ngrams.ids_of(found), return_index=True)
            for ngram, place in zip(ids, first, strict=True):
                if ngram != PADDING:
                    added = float(log_odds_of[ngram]) / math.sqrt(len(tokens.ids))
                    sums[ngrams[place]] = sums.get(ngrams[place], 0.0) + added
        return [NgramContribution(ngram, log_odds) for ngram, log_odds in sums.items()]

    def _without_each_word(self, tokens: TokenSequences) -> Iterator[tuple[int, float, float]]:
        """Yield the place of each known word, and the log-odds of n-grams and LSTM without it."""
        count = len(tokens.ids)
        known = np.flatnonzero((tokens.ids != START) & (tokens.ids != UNKNOWN))
        at_a_time = max(OCCLUDED_TOKENS // count, 1)
        for begin in range(0, len(known), at_a_time):
            places = known[begin : begin + at_a_time]
            copies = np.repeat(tokens.ids[None], len(places), axis=0)
            copies[np.arange(len(places)), places] = UNKNOWN
            offsets = np.arange(len(places) + 1, dtype=np.int64) * count
            without = self._log_odds(TokenSequences(copies.reshape(-1), offsets))
            yield from zip(places.tolist(), *without, strict=True)

    def _log_odds(self, texts: TokenSequences) -> tuple[list[float], list[float]]:
        """Return each text's log-odds by n-grams and by the LSTM."""
        probabilities = self._lstm.sequence_probabilities(texts).astype(np.float64)
        clipped = np.clip(probabilities, 2.0**-23, 1 - 2.0**-23)
        of_lstm = np.log(clipped / (1 - clipped)).tolist()
        if self._ngrams is None:
            return [0.0] * len(texts), of_lstm
        return self._ngrams.log_odds(texts, self._scorer.bundle.ngram_log_odds).tolist(), of_lstm


def _size(found: NgramContribution | WordContribution) -> float:
    return -abs(found.log_odds)
