from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from imdb_classifier.errors import TextTypeError
from imdb_classifier.scoring.text_columns import as_text, labels


def test_labels_change_at_one_half() -> None:
    below = np.nextafter(np.float32(0.5), np.float32(0))
    probabilities = pa.array([0.0, below, 0.5, 1.0, None], pa.float32())
    assert labels(probabilities).to_pylist() == [
        "negative", "negative", "positive", "positive", None,
    ]  # fmt: skip


@pytest.mark.parametrize(
    "column",
    [
        pa.array(["ä", None], pa.string()),
        pa.array(["ä", None], pa.large_string()),
        pa.array(["ä", None], pa.string_view()),
        pa.array(["ä", None]).dictionary_encode(),
        pa.array(["ä", None], pa.large_string()).dictionary_encode(),
        pa.chunked_array([["ä"], [None]], pa.large_string()),
        pa.array(["ä".encode(), None], pa.binary()),
        pa.array(["ä".encode(), None], pa.large_binary()),
        pa.array(["ä", None], pa.json_(pa.string())),
    ],
    ids=lambda column: str(column.type)[:24],
)
def test_text_of_any_type_becomes_plain_strings(column: pa.Array) -> None:
    text = as_text(column, "body", "a.parquet")
    assert text.type == pa.string()
    assert text.to_pylist() == ["ä", None]


def test_a_column_of_nulls_is_text_that_is_missing() -> None:
    assert as_text(pa.nulls(2), "body", "a.parquet").type == pa.string()


@pytest.mark.parametrize(
    "column",
    [
        pa.array([1]),
        pa.array([bytes(16)], pa.uuid()),
        pa.array([["list"]]),
        pa.array([True]),
        pa.array([1]).dictionary_encode(),
    ],
    ids=lambda column: str(column.type)[:24],
)
def test_anything_else_is_refused(column: pa.Array) -> None:
    with pytest.raises(
        TextTypeError, match=r"Column 'body' of a\.parquet must contain text: .* Cast it"
    ):
        as_text(column, "body", "a.parquet")


def test_bytes_that_are_no_utf8_are_refused_and_not_quoted() -> None:
    data = b"canary \xff canary"
    column = pa.StringArray.from_buffers(
        1, pa.py_buffer(np.array([0, len(data)], np.int32)), pa.py_buffer(data)
    )
    with pytest.raises(TextTypeError, match="not valid UTF-8") as caught:
        as_text(column, "body", "a.parquet")
    assert "canary" not in str(caught.value)
    assert "canary" not in str(caught.value.__cause__)
