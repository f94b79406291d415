from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from imdb_classifier.config import EncodingConfig
from imdb_classifier.encoding import (
    CHUNK_ROWS,
    FILTER,
    TokenSequences,
    Vocabulary,
    cap,
    encode,
    encode_reviews,
)
from imdb_classifier.errors import BundleError
from imdb_classifier.schema import ENCODED_REVIEWS, REVIEWS

# the 4, good 5, film 6, was 7, bad 8, it 9, isn't 10, zürich 11, ночь 12, 🎬 13
WORDS = ["the", "good", "film", "was", "bad", "it", "isn't", "zürich", "ночь", "🎬"]
VOCABULARY = Vocabulary(WORDS)
CONFIG = EncodingConfig(num_words=14, sequence_length=8)


def ids_of(texts: list[str] | pa.Array, config: EncodingConfig = CONFIG) -> list[list[int]]:
    column = pa.array(texts, pa.string()) if isinstance(texts, list) else texts
    return lists(encode(column, VOCABULARY, config))


def lists(sequences: TokenSequences) -> list[list[int]]:
    assert sequences.ids.dtype == np.int32
    assert sequences.offsets.dtype == np.int64
    return [part.tolist() for part in np.split(sequences.ids, sequences.offsets[1:-1])]


def sequences_of(rows: list[list[int]]) -> TokenSequences:
    offsets = np.cumsum([0, *map(len, rows)])
    return TokenSequences(np.array([id for row in rows for id in row], np.int32), offsets)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("the good film", [1, 4, 5, 6]),
        ("good,film!bad?", [1, 5, 6, 8]),
        (f"good{FILTER}film", [1, 5, 6]),
        ("  good \t\n film  ", [1, 5, 6]),
        ("good<br /><br />film", [1, 5, 2, 2, 6]),
        ("isn't", [1, 10]),
        ("'isn't'", [1, 2]),
        ("isn\u2019t", [1, 2]),
        ("dull good nonsense", [1, 2, 5, 2]),
        ("GOOD Film", [1, 5, 6]),
        ("ZÜRICH НОЧЬ", [1, 11, 12]),
        ("zu\u0308rich", [1, 2]),
        ("🎬 good🎬", [1, 13, 2]),
        ("good\u00a0film", [1, 2]),
        ("good\rfilm", [1, 2]),
        ("good\x00film", [1, 2]),
        ("goo\uff44", [1, 2]),
        ("", [1]),
        ("?!... -- \t\n", [1]),
        ("it", [1, 9]),
    ],
    ids=ascii,
)
def test_expected_ids(text: str, expected: list[int]) -> None:
    assert ids_of([text]) == [expected]
    assert ids_of(["bad", text, "bad"]) == [[1, 8], expected, [1, 8]]


def test_filter_is_the_published_one() -> None:
    assert FILTER == '!"#$%&()*+,-./:;<=>?@[\\]^_`{|}~\t\n'
    assert "'" not in FILTER


def test_tail_is_kept() -> None:
    text = "the good film was bad it isn't"
    assert ids_of([text]) == [[1, 4, 5, 6, 7, 8, 9, 10]]
    assert ids_of([text + " zürich"]) == [[4, 5, 6, 7, 8, 9, 10, 11]]
    assert ids_of([text], replace(CONFIG, sequence_length=1)) == [[10]]
    assert ids_of([""], replace(CONFIG, sequence_length=1)) == [[1]]


def test_100_000_words() -> None:
    assert ids_of(["bad " * 99_998 + "good film", "it"]) == [[8] * 6 + [5, 6], [1, 9]]
    whole = ids_of(["bad " * 100_000], replace(CONFIG, sequence_length=200_000))
    assert whole == [[1] + [8] * 100_000]


def test_ids_from_num_words_on_are_unknown() -> None:
    assert ids_of(["the good film was bad"], replace(CONFIG, num_words=6)) == [[1, 4, 5, 2, 2, 2]]
    assert ids_of(["the good"], replace(CONFIG, num_words=4)) == [[1, 2, 2]]
    assert ids_of(["the good"], replace(CONFIG, num_words=5)) == [[1, 4, 2]]


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["good", "good"], [[1, 5], [1, 5]]),
        (["go", "od"], [[1, 2], [1, 2]]),
        (["good", "", "good"], [[1, 5], [1], [1, 5]]),
        (["", "", "good"], [[1], [1], [1, 5]]),
        (["good", "", ""], [[1, 5], [1], [1]]),
        (["", ""], [[1], [1]]),
        (["good ", " good"], [[1, 5], [1, 5]]),
        (["good film", "film good"], [[1, 5, 6], [1, 6, 5]]),
        (["...", "good", "..."], [[1], [1, 5], [1]]),
        (["🎬", "🎬", "ночь", "ночь"], [[1, 13], [1, 13], [1, 12], [1, 12]]),
        ([], []),
    ],
    ids=ascii,
)
def test_rows_stay_apart(texts: list[str], expected: list[list[int]]) -> None:
    sequences = encode(pa.array(texts, pa.string()), VOCABULARY, CONFIG)
    assert len(sequences) == len(texts)
    assert sequences.lengths.tolist() == [len(row) for row in expected]
    assert sequences.ids.tolist() == [id for row in expected for id in row]


def test_sliced_arrays() -> None:
    texts = pa.array(["bad", "good film", "", "it", "bad"])
    assert ids_of(texts.slice(1, 3)) == [[1, 5, 6], [1], [1, 9]]
    assert ids_of(texts.slice(1).slice(2, 1)) == [[1, 9]]
    chunked = pa.chunked_array([texts.slice(3), texts.slice(2, 1), texts.slice(0, 0), texts[:2]])
    assert ids_of(chunked) == [[1, 9], [1, 8], [1], [1, 8], [1, 5, 6]]


def test_chunks_without_rows() -> None:
    assert len(encode(pa.chunked_array([], pa.string()), VOCABULARY, CONFIG)) == 0


def test_more_rows_than_a_chunk() -> None:
    texts = ["good", "", "the film", "it was bad"] * (CHUNK_ROWS // 2) + ["film"]
    expected = [[1, 5], [1], [1, 4, 6], [1, 9, 7, 8]] * (CHUNK_ROWS // 2) + [[1, 6]]
    assert len(texts) > 2 * CHUNK_ROWS
    assert ids_of(texts) == expected
    assert ids_of(pa.array(texts)[CHUNK_ROWS - 1 :]) == expected[CHUNK_ROWS - 1 :]


# Python's str.lower and Arrow's utf8_lower differ in two ways. Arrow maps one character to one:
# U+0130 becomes "i" (Python: "i" and a combining dot), and a capital sigma becomes the same small
# one wherever it stands (Python: another one at a word's end). And each has its own version of
# Unicode, so letters that Python does not know yet are left out here.
LETTERS = st.characters(exclude_categories=["Cs", "Cn"], exclude_characters="\u0130\u03a3")
TEXTS = st.lists(
    st.one_of(
        st.text(LETTERS),
        st.lists(
            st.sampled_from([*WORDS, "GOOD", "Zürich", "<br />", " ", "\t", ".", "'"]) | LETTERS
        ).map("".join),
    ),
    max_size=8,
)
TRANSLATION = str.maketrans(dict.fromkeys(FILTER, " "))


def words_by_python(text: str) -> list[str]:
    return [word for word in text.lower().translate(TRANSLATION).split(" ") if word]


def ids_by_python(text: str, config: EncodingConfig) -> list[int]:
    known = {word: rank + 3 for rank, word in enumerate(WORDS, start=1)}
    ids = [1, *(known.get(word, 2) for word in words_by_python(text))]
    return [id if id < config.num_words else 2 for id in ids][-config.sequence_length :]


@given(TEXTS, st.integers(4, 14), st.integers(1, 12), st.integers(0, 3))
@example(["good", "good"], 14, 8, 0)
@settings(max_examples=300, deadline=None)
def test_equals_plain_python(
    texts: list[str], num_words: int, sequence_length: int, start: int
) -> None:
    config = EncodingConfig(num_words, sequence_length)
    sequences = encode(pa.array(texts, pa.string()).slice(start), VOCABULARY, config)
    expected = [ids_by_python(text, config) for text in texts[start:]]
    assert sequences.lengths.tolist() == [len(row) for row in expected]
    assert sequences.ids.tolist() == [id for row in expected for id in row]


def test_where_arrow_lowers_otherwise_than_python() -> None:
    vocabulary = Vocabulary(["i", "οσ"])
    encoded = encode(pa.array(["\u0130", "ΟΣ"]), vocabulary, CONFIG)
    assert lists(encoded) == [[1, 4], [1, 5]]
    assert "\u0130".lower() == "i\u0307"
    assert "ΟΣ".lower() == "ος"


def test_counted_vocabulary_is_in_rank_order() -> None:
    texts = pa.array(["B a, a c", "c d b", "e A"])
    # a 3; b and c 2, b first; d and e 1, d first.
    assert Vocabulary.count(texts).words.to_pylist() == ["a", "b", "c", "d", "e"]


def test_counting_does_not_depend_on_chunks() -> None:
    rows = ["rare x", *["x y"] * CHUNK_ROWS, "late y", "late"]
    expected = ["y", "x", "late", "rare"]
    assert Vocabulary.count(pa.array(rows)).words.to_pylist() == expected
    chunked = pa.chunked_array([rows[:1], rows[1:900], [], rows[900:]], pa.string())
    assert Vocabulary.count(chunked).words.to_pylist() == expected


@given(TEXTS)
@settings(max_examples=100, deadline=None)
def test_counting_equals_plain_python(texts: list[str]) -> None:
    counts: dict[str, int] = {}
    for text in texts:
        for word in words_by_python(text):
            counts[word] = counts.get(word, 0) + 1
    expected = sorted(counts, key=lambda word: -counts[word])
    assert Vocabulary.count(pa.array(texts, pa.string())).words.to_pylist() == expected


def test_head_of_a_vocabulary() -> None:
    assert VOCABULARY.head(2).words.to_pylist() == ["the", "good"]
    assert len(VOCABULARY.head(99)) == len(VOCABULARY) == 10


def test_word_twice_in_a_vocabulary() -> None:
    with pytest.raises(BundleError, match=r"names each word once\. This one repeats a word\."):
        Vocabulary(["good", "bad", "good"])


ROWS = st.lists(st.lists(st.integers(1, 99), min_size=1, max_size=9), min_size=1, max_size=9)


@given(ROWS, st.data())
def test_take(rows: list[list[int]], data: st.DataObject) -> None:
    chosen = data.draw(st.lists(st.integers(0, len(rows) - 1), max_size=12))
    taken = sequences_of(rows).take(np.array(chosen, np.int64))
    assert taken.ids.tolist() == [id for row in chosen for id in rows[row]]
    assert taken.lengths.tolist() == [len(rows[row]) for row in chosen]


@given(ROWS, st.integers(1, 10))
def test_tails(rows: list[list[int]], sequence_length: int) -> None:
    assert lists(sequences_of(rows).tails(sequence_length)) == [
        row[-sequence_length:] for row in rows
    ]


def test_cap_takes_ids_of_any_size() -> None:
    capped = cap(sequences_of([[1, 13, 14, 88_587], list(range(1, 11))]), CONFIG)
    assert lists(capped) == [[1, 13, 2, 2], [3, 4, 5, 6, 7, 8, 9, 10]]


def test_encode_reviews_takes_text() -> None:
    reviews = pa.table([["bad film", "good"], [0, 1]], schema=REVIEWS)
    assert lists(encode_reviews(reviews, VOCABULARY, CONFIG)) == [[1, 8, 6], [1, 5]]


def test_encode_reviews_takes_ids() -> None:
    rows = [[1, 4], [1, 99, 5], [1], [1, *range(4, 13)], [1, 6]]
    reviews = pa.table([rows, [0, 1, 0, 1, 0]], schema=ENCODED_REVIEWS)
    expected = [[1, 4], [1, 2, 5], [1], [5, 6, 7, 8, 9, 10, 11, 12], [1, 6]]
    assert lists(encode_reviews(reviews, VOCABULARY, CONFIG)) == expected
    assert lists(encode_reviews(reviews.slice(1, 3), VOCABULARY, CONFIG)) == expected[1:4]
    chunked = pa.concat_tables([reviews.slice(3), reviews.slice(0, 2)])
    assert lists(encode_reviews(chunked, VOCABULARY, CONFIG)) == [*expected[3:], *expected[:2]]
