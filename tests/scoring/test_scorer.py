from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imdb_classifier.errors import TextTypeError, UnknownModelError, UnsupportedDataError
from imdb_classifier.model.bundle import Bundle
from imdb_classifier.registry.access import CHAMPION
from imdb_classifier.registry.versions import Registry
from imdb_classifier.reviews.load import load_reviews
from imdb_classifier.samples import FOLDER
from imdb_classifier.scoring.scorer import CHUNK_ROWS, Scorer, scorer_for
from imdb_classifier.text.encoding import encode

TEXTS: list[str] = load_reviews(str(FOLDER), "test").table["text"].to_pylist()
BLANKS = [None, "", "   ", "\t\n", "\u2003"]


def test_one_probability_a_row_and_none_without_text(scorer: Scorer) -> None:
    rows = [TEXTS[0], *BLANKS, TEXTS[1], "?!"]
    scored = scorer.probabilities(pa.array(rows, pa.string()))
    assert scored.type == pa.float32()
    assert [value is None for value in scored.to_pylist()] == [False, *[True] * 5, False, False]
    alone = scorer.probabilities(pa.array(TEXTS[:2]))
    np.testing.assert_allclose(scored.drop_null()[:2], alone, atol=1e-6)
    assert (np.asarray(scored.drop_null()) > 0).all()


@pytest.mark.parametrize("rows", [[], BLANKS, [None]], ids=["no rows", "blanks", "null"])
def test_nothing_to_score(scorer: Scorer, rows: list[str | None]) -> None:
    scored = scorer.probabilities(pa.array(rows, pa.string()))
    assert scored.null_count == len(scored) == len(rows)


def test_neither_threads_nor_chunks_nor_runs_change_a_byte(tiny_bundle: Bundle) -> None:
    texts = pa.array((TEXTS * (2 * CHUNK_ROWS // len(TEXTS) + 1))[: 2 * CHUNK_ROWS + 1])
    chunked = pa.chunked_array([texts[:1], texts[1:700], texts[700:]])
    with Scorer(tiny_bundle, threads=1) as one, Scorer(tiny_bundle, threads=4) as four:
        expected = one.probabilities(texts)
        assert four.probabilities(texts).equals(expected)
        assert four.probabilities(chunked).equals(expected)
        assert one.probabilities(texts).equals(expected)
    assert len(expected) == 2 * CHUNK_ROWS + 1


@given(st.permutations(range(24)))
@settings(max_examples=25)
def test_the_order_of_rows_does_not_matter(scorer: Scorer, order: list[int]) -> None:
    expected = np.asarray(scorer.probabilities(pa.array(TEXTS[:24])))
    permuted = np.asarray(scorer.probabilities(pa.array([TEXTS[i] for i in order])))
    np.testing.assert_allclose(permuted, expected[order], atol=1e-6)


@pytest.mark.parametrize(
    "kind",
    [pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())],
    ids=["large_string", "string_view", "dictionary"],
)
def test_text_of_any_type_gets_the_same_probabilities(scorer: Scorer, kind: pa.DataType) -> None:
    texts = pa.array([TEXTS[0], None, TEXTS[1]])
    converted = texts.dictionary_encode() if pa.types.is_dictionary(kind) else texts.cast(kind)
    assert scorer.probabilities(converted).equals(scorer.probabilities(texts))


@pytest.mark.parametrize("texts", ["A canary.", ["A canary."], None], ids=["str", "list", "None"])
def test_what_is_no_arrow_array_is_refused(scorer: Scorer, texts: Any) -> None:
    for score in (scorer.probabilities, scorer.start):
        with pytest.raises(
            UnsupportedDataError, match=r"as an Arrow array\. .* pyarrow\.array"
        ) as no:
            score(texts)
        assert "canary" not in str(no.value)


def test_what_is_no_text_gets_no_probability(scorer: Scorer) -> None:
    with pytest.raises(TextTypeError, match=r"The texts must contain text: .* of type int64\."):
        scorer.probabilities(pa.array([1]))


def test_texts_and_their_ids_get_the_same_probability(scorer: Scorer) -> None:
    bundle = scorer.bundle
    ids = encode(pa.array(TEXTS), bundle.vocabulary, bundle.recipe.encoding)
    from_texts = np.asarray(scorer.probabilities(pa.array(TEXTS)))
    assert scorer.sequence_probabilities(ids).tobytes() == from_texts.tobytes()
    assert scorer.sequence_probabilities(ids.take(np.array([], np.int64))).shape == (0,)


def test_load_takes_a_reference(
    tiny_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory
) -> None:
    empty = Registry.at(tmp_path_factory.mktemp("registry"))
    with Scorer.load(CHAMPION, empty) as scorer:
        assert scorer.bundle.recipe.name == "production"
    with Scorer.load(tiny_bundle.path, empty) as scorer:
        assert scorer.bundle.model_id == tiny_bundle.model_id


def test_only_a_scorer_of_its_own_is_closed(tiny_bundle: Bundle, tmp_path: Path) -> None:
    texts = pa.array(TEXTS[:1])
    with Scorer(tiny_bundle) as mine:
        with scorer_for(mine) as same:
            assert same is mine
        assert len(mine.probabilities(texts)) == 1
    registry = Registry.at(tmp_path)
    for model in (tiny_bundle.path, str(tiny_bundle.path)):
        with scorer_for(model, registry) as loaded:
            assert loaded.probabilities(texts).equals(Scorer(tiny_bundle).probabilities(texts))
        with pytest.raises(RuntimeError, match="after shutdown"):
            loaded.probabilities(texts)
    with pytest.raises(UnknownModelError), scorer_for("@challenger", registry):
        pass
