from __future__ import annotations

import re

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imdb_classifier.config import EncodingConfig
from imdb_classifier.errors import BundleError
from imdb_classifier.reviews.dataset import ENCODED_REVIEWS
from imdb_classifier.text.encoding import (
    ENCODED_ROWS,
    TokenSequences,
    Vocabulary,
    cap,
    encode,
    encode_reviews,
)
from imdb_classifier.text.words import FILTER

# Ranks 1 to 10, so ids 4 to 13.
WORDS = ["the", "a", "br", "film", "don't", "good", "élan", "🎬", "10", "bad"]
VOCABULARY = Vocabulary(WORDS)
CONFIG = EncodingConfig(num_words=14, sequence_length=8)


def ids_of(sequences: TokenSequences) -> list[list[int]]:
    return [part.tolist() for part in np.split(sequences.ids, sequences.offsets[1:-1])]


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("the film", [1, 4, 7]),
        ("The FILM!", [1, 4, 7]),
        ("good,bad;film:the", [1, 9, 13, 7, 4]),
        ("good.<br /><br />Bad", [1, 9, 6, 6, 13]),
        ("don't 'don't' don`t", [1, 8, 2, 2, 2]),
        ("a superb film", [1, 5, 2, 7]),
        ("ÉLAN Élan élan", [1, 10, 10, 10]),
        ("🎬 🎬🎬 film🎬", [1, 11, 2, 2]),
        ("10/10", [1, 12, 12]),
        ("", [1]),
        ("   ", [1]),
        ("?!...", [1]),
        ("good\tbad\nfilm", [1, 9, 13, 7]),
        ("good\u00a0bad", [1, 2]),
        ("  good  bad  ", [1, 9, 13]),
        ("the a the a the a the a", [4, 5, 4, 5, 4, 5, 4, 5]),
        ("bad the a the a the a the", [13, 4, 5, 4, 5, 4, 5, 4]),
        ("the film " * 50_000, [4, 7, 4, 7, 4, 7, 4, 7]),
    ],
    ids=[
        "plain", "upper case", "punctuation", "line breaks", "apostrophes", "unknown word",
        "upper case beyond ASCII", "emoji", "digits", "empty", "blank", "only punctuation",
        "tab and newline", "no-break space is no space", "spaces around",
        "nine tokens lose the start", "eight words keep all of them", "100,000 words",
    ],
)  # fmt: skip
def test_hand_written_encodings(text: str, ids: list[int]) -> None:
    assert ids_of(encode(pa.array([text]), VOCABULARY, CONFIG)) == [ids]


def test_words_do_not_grow_together_at_the_border_of_two_rows() -> None:
    texts = pa.array(["good", "bad", "", "fi", "lm", "good"])
    assert ids_of(encode(texts, VOCABULARY, CONFIG)) == [
        [1, 9],
        [1, 13],
        [1],
        [1, 2],
        [1, 2],
        [1, 9],
    ]


@pytest.mark.parametrize(
    "kind", ["whole", "sliced", "chunked", "empty chunks", "large_string", "string_view"]
)
def test_the_form_of_the_array_does_not_matter(kind: str) -> None:
    texts = ["good film", "bad", "the bad film"]
    forms = {
        "whole": pa.array(texts),
        "sliced": pa.array(["bad bad", *texts, "good"]).slice(1, 3),
        "chunked": pa.chunked_array([texts[:1], texts[1:]]),
        "empty chunks": pa.chunked_array([[], texts, []], pa.string()),
        "large_string": pa.array(["bad bad", *texts], pa.large_string()).slice(1),
        "string_view": pa.array(texts, pa.string_view()),
    }
    assert ids_of(encode(forms[kind], VOCABULARY, CONFIG)) == [[1, 9, 7], [1, 13], [1, 4, 13, 7]]


def test_more_rows_than_one_piece() -> None:
    texts = pa.array(["good film", "bad"] * (ENCODED_ROWS + 1))
    encoded = encode(texts, VOCABULARY, CONFIG)
    assert ids_of(encoded) == [[1, 9, 7], [1, 13]] * (ENCODED_ROWS + 1)
    assert encoded.ids.dtype == np.int32
    assert encoded.offsets.dtype == np.int64


def test_no_rows() -> None:
    encoded = encode(pa.array([], pa.string()), VOCABULARY, CONFIG)
    assert len(encoded) == 0
    assert encoded.offsets.tolist() == [0]


def test_ranks_past_num_words_are_unknown() -> None:
    config = EncodingConfig(num_words=7, sequence_length=8)
    assert ids_of(encode(pa.array(["the a br film good"]), VOCABULARY, config)) == [
        [1, 4, 5, 6, 2, 2]
    ]


def test_ready_made_ids_are_capped_in_the_same_way() -> None:
    lists = pa.table(
        {"token_ids": pa.array([[1, 4, 88_587], list(range(1, 12))], pa.list_(pa.int32()))}
    )
    config = EncodingConfig(num_words=8, sequence_length=5)
    encoded = encode_reviews(lists, VOCABULARY, config)
    assert ids_of(encoded) == [[1, 4, 2], [7, 2, 2, 2, 2]]


def test_ready_made_ids_of_sliced_and_chunked_tables() -> None:
    rows = [[1, 4], [1, 99, 5], [1], [1, 6]]
    reviews = pa.table([rows, [0, 1, 0, 1]], schema=ENCODED_REVIEWS)
    expected = [[1, 4], [1, 2, 5], [1], [1, 6]]
    assert ids_of(encode_reviews(reviews.slice(1, 2), VOCABULARY, CONFIG)) == expected[1:3]
    chunked = pa.concat_tables([reviews.slice(2), reviews.slice(0, 2)])
    assert ids_of(encode_reviews(chunked, VOCABULARY, CONFIG)) == [*expected[2:], *expected[:2]]


# Arrow lower-cases letter by letter; Python knows letters whose lower case is longer (İ) or
# depends on the word (Σ). Keras' filter and spaces are mixed in so that words have borders.
ALPHABET = st.characters(exclude_categories=["Cs"], exclude_characters="İΣ")
TEXTS = st.lists(
    st.text(st.one_of(st.sampled_from(" \t\n<>/.,'good"), ALPHABET), max_size=40), max_size=12
)


@given(TEXTS)
def test_equals_keras_own_steps(texts: list[str]) -> None:
    split = [
        [word for word in text.lower().translate({ord(c): " " for c in FILTER}).split(" ") if word]
        for text in texts
    ]
    arrow_lower = [text for text in texts if pa.compute.utf8_lower(text).as_py() == text.lower()]
    words = sorted({word for row in split for word in row})
    vocabulary = Vocabulary(words)
    config = EncodingConfig(num_words=10_000, sequence_length=1_000)
    expected = [
        [1, *(words.index(word) + 4 for word in row)]
        for text, row in zip(texts, split, strict=True)
        if text in arrow_lower
    ]
    assert ids_of(encode(pa.array(arrow_lower, pa.string()), vocabulary, config)) == (
        expected or [[]]
    )


def test_few_words_get_the_ids_that_many_get() -> None:
    vocabulary = Vocabulary([f"élan{rank}" for rank in range(200)])
    config = EncodingConfig(num_words=150, sequence_length=500)
    texts = [f"ÉLAN{number} film, élan{number + 1}!" for number in range(0, 200, 7)]
    together = ids_of(encode(pa.array(texts), vocabulary, config))
    assert together[1] == [1, 11, 2, 12]
    assert together == [ids_of(encode(pa.array([text]), vocabulary, config))[0] for text in texts]


def test_vocabulary_is_counted_by_frequency_then_appearance() -> None:
    texts = pa.chunked_array([["b a b", "c, A!"], ["d b"]])
    assert Vocabulary.count(texts, "keras").words.to_pylist() == ["b", "a", "c", "d"]
    assert Vocabulary.count(texts, "keras").head(2).words.to_pylist() == ["b", "a"]


def test_a_vocabulary_names_each_word_once() -> None:
    with pytest.raises(BundleError, match=re.escape("This vocabulary repeats a word.")):
        Vocabulary(["good", "bad", "good"])


def test_take_heads_and_tails() -> None:
    sequences = TokenSequences(np.array([1, 5, 6, 1, 1, 7], np.int32), np.array([0, 3, 4, 6]))
    assert sequences.lengths.tolist() == [3, 1, 2]
    assert ids_of(sequences.take(np.array([2, 0, 2]))) == [[1, 7], [1, 5, 6], [1, 7]]
    assert ids_of(sequences.tails(2)) == [[5, 6], [1], [1, 7]]
    assert sequences.tails(3) is sequences
    assert ids_of(sequences.heads(2)) == [[1, 5], [1], [1, 7]]
    assert ids_of(sequences.heads(1)) == [[1], [1], [1]]
    assert ids_of(cap(sequences, EncodingConfig(num_words=7, sequence_length=2))) == [
        [5, 6],
        [1],
        [1, 2],
    ]
