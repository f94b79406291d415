from __future__ import annotations

import pyarrow as pa
import pytest

from imdb_classifier.config import EncodingConfig
from imdb_classifier.evaluation.slices import slices_of
from imdb_classifier.text.encoding import Vocabulary, encode

WORDS = ["film", "good", "not", "don't", "nothing", "knot", "cannot", "noir"]


def rows_of(texts: list[str], sequence_length: int = 1_000) -> dict[str, list[int]]:
    vocabulary = Vocabulary(WORDS)
    config = EncodingConfig(len(WORDS) + 4, sequence_length)
    untruncated = encode(pa.array(texts), vocabulary, config.untruncated)
    found = slices_of(untruncated, vocabulary, sequence_length)
    return {name: [int(row) for row in rows.nonzero()[0]] for name, rows in found.items()}


def test_by_length_in_words() -> None:
    lengths = [0, 1, 50, 51, 100, 101, 500, 501, 3_000]
    assert rows_of(["film " * length + "." for length in lengths], 10_000) == {
        "0-50 words": [0, 1, 2],
        "51-100 words": [3, 4],
        "101-200 words": [5],
        "301-500 words": [6],
        "501+ words": [7, 8],
    }


@pytest.mark.parametrize("word", ["not", "Don't", "nothing", "cannot"])
def test_negations(word: str) -> None:
    texts = [
        "good film", f"film {word} good", "knot good", f"good {word}", f"{word} a film good",
        f"{word} a film or good", f"film {word}", "good",
    ]  # fmt: skip
    assert rows_of(texts)["negated opinion"] == [1, 4]


def test_no_negation_no_slice() -> None:
    assert "negated opinion" not in rows_of(["good film", "knot", "film not", "good"])


def test_truncated_is_what_the_model_does_not_read_in_full() -> None:
    # The start token counts.
    assert rows_of(["film " * 9, "film " * 10, "film"], 10)["truncated"] == [1]


def test_many_unknown_words_are_a_tenth() -> None:
    texts = ["film " * 9 + "zork", "film " * 10 + "zork", "film", "zork", "?!"]
    assert rows_of(texts)["many unknown words"] == [0, 3]
