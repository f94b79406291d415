from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from imdb_classifier import Registry, Scorer, explain, load_bundle
from imdb_classifier.errors import ConfigurationError, TextTypeError, UnsupportedDataError
from imdb_classifier.model.bundle import ONNX_FILE
from imdb_classifier.model.onnx_reader import weights_of
from imdb_classifier.registry.versions import bundled_path
from imdb_classifier.scoring import explanations
from imdb_classifier.text.encoding import encode
from tests.extras import needs

TEXT = "It's not bad, not bad at all: I loved the quuxible ending, and I loved the music."


@pytest.fixture(scope="module")
def bundled() -> Scorer:
    return Scorer(load_bundle(bundled_path()))


def log_odds(probability: float) -> float:
    return math.log(probability / (1 - probability))


def test_the_ngrams_add_up_to_their_log_odds_and_the_parts_to_the_score(bundled: Scorer) -> None:
    (found,) = explain([TEXT], model=bundled, top=None)
    bundle = bundled.bundle
    assert bundle.ngrams is not None
    weights = weights_of((bundle.path / ONNX_FILE).read_bytes(), bundle.recipe)
    sequences = encode(pa.array([TEXT]), bundle.vocabulary, bundle.recipe.encoding)
    (expected,) = bundle.ngrams.log_odds(sequences, weights.ngram_weights)
    expected *= float(weights.output_kernel[-1, 0])
    contributions = [part.log_odds for part in found.ngrams]
    assert found.ngram_log_odds == math.fsum(contributions)
    assert found.ngram_log_odds == pytest.approx(expected, abs=1e-12)
    assert found.probability == bundled.probabilities(pa.array([TEXT])).to_pylist()[0]
    whole = found.ngram_log_odds + found.lstm_log_odds
    assert whole == pytest.approx(log_odds(found.probability or 0), abs=1e-4)
    assert contributions == sorted(contributions, key=abs, reverse=True)
    # One that is repeated counts once.
    names = [part.ngram for part in found.ngrams]
    assert len(names) == len(set(names))
    assert {"not bad", "i loved the"} <= set(names)
    assert {"loved the (unknown)", "the (unknown)"} <= set(names)
    assert not any("quuxible" in name for name in names)
    (verdict,) = explain(["Awful, and this movie was a waste of time."], model=bundled, top=None)
    assert "(start) awful" in [part.ngram for part in verdict.ngrams]


def test_a_word_moves_the_score_by_what_the_score_is_without_it(bundled: Scorer) -> None:
    (found,) = explain([TEXT], model=bundled, top=None)
    # Unknown words have nothing to lose; known ones count once for each place.
    words = [part.word for part in found.words]
    assert words.count("loved") == words.count("bad") == 2
    assert "quuxible" not in words
    assert len(words) == 16
    without, *_ = explain([TEXT.replace("ending", "quuxible")], model=bundled)
    (ending,) = (part for part in found.words if part.word == "ending")
    before, after = (e.ngram_log_odds + e.lstm_log_odds for e in (found, without))
    assert ending.log_odds == pytest.approx(before - after, abs=1e-9)
    assert ending.ngram_log_odds + ending.lstm_log_odds == pytest.approx(ending.log_odds)


@pytest.mark.parametrize(
    ("text", "word", "sign"),
    [
        ("It was a dreadful film about a train.", "dreadful", -1),
        ("We saw a superb film on Tuesday.", "superb", 1),
        ("The ferry leaves at ten; the acting was terrible.", "terrible", -1),
        ("My sister and I loved the one with the two houses.", "loved", 1),
    ],
)
def test_the_only_word_of_opinion_is_named_first(
    bundled: Scorer, text: str, word: str, sign: int
) -> None:
    (found,) = explain([text], model=bundled, top=1)
    ((first,), (ngram,)) = found.words, found.ngrams
    assert first.word == word
    assert first.log_odds * sign > 0
    assert word in ngram.ngram.split()
    assert ngram.log_odds * sign > 0


def test_texts_without_words_and_long_ones(
    bundled: Scorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = ["Loved it.", None, " ", "?!", "quuxible"]
    found = explain(texts, model=bundled)
    assert [e.probability is None for e in found] == [False, True, True, False, False]
    assert [len(e.words) for e in found] == [2, 0, 0, 0, 0]
    # Copies of a long text are scored a few at a time, with the same result.
    whole = explain([TEXT], model=bundled, top=None)
    monkeypatch.setattr(explanations, "OCCLUDED_TOKENS", 70)
    assert explain([TEXT], model=bundled, top=None) == whole


def test_a_model_without_ngrams_of_limited_length(scorer: Scorer) -> None:
    limit = scorer.bundle.recipe.encoding.sequence_length
    long = "dull " * limit + "The end was superb."
    (found,) = explain([long], model=scorer, top=None)
    assert found.ngrams == ()
    assert found.ngram_log_odds == 0
    assert found.lstm_log_odds == pytest.approx(log_odds(found.probability or 0), abs=1e-5)
    # Only what the model reads: without the start and the words in front.
    assert [part.word for part in found.words].count("dull") <= limit - 4
    # Words that were truncated cannot move the score.
    assert found == explain(["dull " + long], model=scorer, top=None)[0]


@needs("tensorflow", "train")
def test_every_engine_explains_alike(bundled: Scorer) -> None:
    ours = explain([TEXT], model=bundled, top=None)[0]
    for engine in ("onnx", "keras"):
        with Scorer(load_bundle(bundled_path(), engine)) as other:
            (theirs,) = explain([TEXT], model=other, top=None)
        assert theirs.ngrams == ours.ngrams
        by_word = ({(w.word, w.ngram_log_odds) for w in e.words} for e in (ours, theirs))
        assert len(set.intersection(*by_word)) >= 14
        np.testing.assert_allclose(theirs.lstm_log_odds, ours.lstm_log_odds, atol=1e-4)


def test_what_cannot_be_explained(bundled: Scorer) -> None:
    with pytest.raises(UnsupportedDataError, match=r"a single text.* Pass a list of texts\."):
        explain("A fine film.", model=bundled)
    with pytest.raises(ConfigurationError, match=r"`top` must be at least 1\. It is 0\."):
        explain(["A fine film."], model=bundled, top=0)
    with pytest.raises(TextTypeError, match="position 1 holds a value of type int"):
        explain(["A fine film.", 3], model=bundled)  # type: ignore[list-item]


def test_a_model_by_reference(tmp_path: object, bundled: Scorer) -> None:
    registry = Registry.at(str(tmp_path))
    (found,) = explain(["Loved it."], registry=registry)
    assert found == replace(explain(["Loved it."], model=bundled)[0])
