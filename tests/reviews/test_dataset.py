from __future__ import annotations

import hashlib

import pyarrow as pa
import pytest

from imdb_classifier.reviews.dataset import (
    ENCODED_REVIEWS,
    REVIEWS,
    Reviews,
    fingerprint_of,
)

TEXTS, LABELS = ["awful caf\u00e9", "dull", "fine", "great"], [0, 0, 1, 1]
# Row count, lengths in bytes, texts, labels; written out by hand.
CANONICAL = (
    b"text 4\n"
    + bytes([11, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0])
    + bytes([4, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0])
    + b"awful caf\xc3\xa9dullfinegreat"
    + bytes([0, 0, 1, 1])
)
FINGERPRINT = hashlib.sha256(CANONICAL).hexdigest()
NOTHING = {"null": 0, "blank": 0, "unlabeled": 0}


def reviews(text: list[str], label: list[int]) -> Reviews:
    return Reviews("parquet", "train", pa.table([text, label], schema=REVIEWS), None, NOTHING, "")


def encoded(ids: list[list[int]], label: list[int]) -> Reviews:
    table = pa.table([ids, label], schema=ENCODED_REVIEWS)
    return Reviews("keras", "train", table, ("the",), NOTHING, "")


def test_fingerprint_does_not_depend_on_chunks() -> None:
    sliced = pa.table([["x", *TEXTS], [0, *LABELS]], schema=REVIEWS).slice(1)
    assert fingerprint_of(sliced) == FINGERPRINT
    # Arrow allows an array without values to have no offsets.
    empty = pa.StringArray.from_buffers(0, pa.py_buffer(b""), pa.py_buffer(b""))
    chunked = pa.table([pa.chunked_array([empty, TEXTS]), LABELS], schema=REVIEWS)
    assert fingerprint_of(chunked) == FINGERPRINT
    assert fingerprint_of(sliced.slice(0, 0)) == hashlib.sha256(b"text 0\n").hexdigest()


@pytest.mark.parametrize(
    ("text", "label"),
    [
        (["awful caf\u00e9", "dull", "great", "fine"], [0, 0, 1, 1]),
        (["awful caf\u00e9", "dull", "fine", "great"], [0, 1, 1, 1]),
        (["awful caf\u00e9d", "ull", "fine", "great"], [0, 0, 1, 1]),
    ],
    ids=["order", "label", "border"],
)
def test_fingerprint_depends_on_rows(text: list[str], label: list[int]) -> None:
    assert fingerprint_of(reviews(text, label).table) != FINGERPRINT


def test_review_text_is_not_in_the_repr() -> None:
    shown = repr(reviews(TEXTS, LABELS))
    assert "source='parquet'" in shown
    assert "awful" not in shown
