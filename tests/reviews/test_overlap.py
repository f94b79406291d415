from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from imdb_classifier.reviews.dataset import ENCODED_REVIEWS, REVIEWS
from imdb_classifier.reviews.overlap import fingerprints_of, known_rows, repeated_rows


def texts(*values: str) -> pa.Table:
    return pa.table([list(values), [0] * len(values)], schema=REVIEWS)


def known(train: pa.Table, test: pa.Table) -> list[bool]:
    found: list[bool] = known_rows(test, fingerprints_of([train])).tolist()
    return found


@pytest.mark.parametrize(
    "other",
    [
        "Don't miss it! It's a caf\u00e9 film.",
        "  don\u2019t miss it!!! it\u2019s a CAF\u00c9\u00a0film",
        "Don't miss it!<br /><br />It's a caf\u00e9 film.",
        "Don&#39;t miss it! It&apos;s a cafe\u0301 film.",
        "Don't miss it! It's a caf\u00e9 \ufb01lm.",
    ],
    ids=["same", "typography", "tags", "entities", "ligature"],
)
def test_a_review_is_known_however_it_is_typed(other: str) -> None:
    train = texts("Dull.", "Don't miss it! It's a caf\u00e9 film.")
    assert known(train, texts("Another film.", other, "Dull")) == [False, True, True]


def test_a_review_with_another_word_is_another_one() -> None:
    train = texts("Don't miss it.")
    assert known(train, texts("Do miss it.", "Don't miss it 2", "Don't miss")) == [False] * 3


def test_texts_without_letters_are_told_apart() -> None:
    train = texts("\U0001f600", "...")
    assert known(train, texts("\U0001f600", "\U0001f621", "...", "!!!")) == [
        True, False, True, False,
    ]  # fmt: skip


def test_chunks_and_labels_do_not_matter() -> None:
    one = pa.concat_tables([texts("a", "b"), texts(), texts("x", "c", "b").slice(1)])
    assert (
        fingerprints_of([one]).tolist() == fingerprints_of([texts("c"), texts("b", "a")]).tolist()
    )
    assert fingerprints_of([one]).dtype == np.uint64
    assert known(one, texts()) == []
    assert known(texts(), one) == [False] * 4


def test_token_ids() -> None:
    def encoded(*ids: list[int]) -> pa.Table:
        return pa.table([list(ids), [0] * len(ids)], schema=ENCODED_REVIEWS)

    train = encoded([1], [1, 4, 5], [1, 4])
    test = encoded([1, 4], [4, 1], [1, 4, 5, 6], [1], [1])
    assert known(train, test) == [True, False, False, True, True]
    assert known(train.slice(1), test.slice(1)) == [False, False, False, False]
    assert known(train, texts("a")) == [False]


def test_fingerprints_stay_what_they_are() -> None:
    """Bundles keep them, so that another release, or another Arrow, must get the same ones."""
    assert fingerprints_of([texts("A warm, funny film.", "Dull!", "Un cafe\u0301.")]).tolist() == [
        3310929768375807481, 6046791081599596054, 11718950445048771888,
    ]  # fmt: skip


def test_a_review_is_repeated_if_an_earlier_one_is_the_same() -> None:
    found = repeated_rows(texts("b", "A film.", "b", "a FILM<br />", "c", "B!"))
    assert found.tolist() == [False, False, True, True, False, True]
    assert repeated_rows(texts()).tolist() == []
