"""Text columns of any Arrow type, and labels for probabilities."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from imdb_classifier.errors import TextTypeError
from imdb_classifier.schema import NEGATIVE, POSITIVE, THRESHOLD, confidences


def has_text(texts: pa.ChunkedArray | pa.Array) -> pa.ChunkedArray | pa.Array:
    """Return which texts can be scored: bool, (rows,); null for null, false for blank texts."""
    return pc.and_not(pc.greater(pc.binary_length(texts), 0), pc.utf8_is_space(texts))


def labels(
    probabilities: pa.Array, at_least: float | None = None, unsure_label: str | None = None
) -> pa.Array:
    """Return ``positive`` from `THRESHOLD` up, else ``negative``: string, (rows,); null if null.

    Args:
        probabilities: Those of positive: float32, (rows,), in [0, 1] or null.
        at_least: Confidence, in [0.5, 1], below which rows get `unsure_label`.
        unsure_label: Null if None.
    """
    named = pc.if_else(
        pc.greater_equal(probabilities, pa.scalar(THRESHOLD, pa.float32())),
        POSITIVE,
        NEGATIVE,
    )
    if at_least is None:
        return named
    unsure = pa.array(is_unsure(probabilities, at_least))
    return pc.if_else(unsure, pa.scalar(unsure_label, pa.string()), named)


def is_unsure(probabilities: pa.Array, at_least: float) -> NDArray[np.bool_]:
    """Return which labels have a lower confidence: bool, (rows,); false without a label."""
    # As float32: the probabilities 0.9 and 0.1 have a confidence of at least 0.9.
    return confidences(probabilities.to_numpy(zero_copy_only=False)) < np.float32(at_least)


def count_of(labels: pa.Array, label: str) -> int:
    """Return how many rows have a label."""
    return pc.sum(pc.equal(labels, label)).as_py() or 0


def holds_text(kind: pa.DataType) -> bool:
    """Return whether a column of this type may contain text.

    Such types are string and binary, their large and view variants, dictionaries of these,
    extension types that are stored as one of these (such as JSON), and null.
    """
    if isinstance(kind, pa.BaseExtensionType):
        kind = kind.storage_type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return any(
        is_kind(kind)
        for is_kind in (
            pa.types.is_string,
            pa.types.is_large_string,
            pa.types.is_string_view,
            pa.types.is_binary,
            pa.types.is_large_binary,
            pa.types.is_binary_view,
            pa.types.is_null,
        )
    )


def type_name(kind: pa.DataType) -> str:
    """Return the name of a type without a nested type's field names.

    If a frame contains dicts, their keys are data.
    """
    return str(kind).partition("<")[0]


def as_text(
    column: pa.ChunkedArray | pa.Array, name: str | None, source: str
) -> pa.ChunkedArray | pa.Array:
    """Return a column of text as plain Arrow strings.

    Args:
        column: A column of a type that `holds_text`.
        name: Its name, for errors; None if it has none.
        source: Where it comes from, for errors.

    Raises:
        TextTypeError: It has another type, is not valid UTF-8, or is larger than 2 GiB.
    """
    if not holds_text(column.type):
        raise TextTypeError(name, source, f"of type {type_name(column.type)}")
    if isinstance(column.type, pa.BaseExtensionType):
        column = column.cast(column.type.storage_type)
    try:
        text = column.cast(pa.string())
        text.validate(full=True)
        return text
    except pa.ArrowInvalid as error:
        received = "longer than 2 GiB" if "offset" in str(error) else "not valid UTF-8"
    # Raised outside the handler: a chained exception might quote a text.
    raise TextTypeError(name, source, received)
