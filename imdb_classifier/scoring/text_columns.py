"""Columns that hold text, and the labels that their probabilities stand for."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from imdb_classifier.errors import TextTypeError
from imdb_classifier.schema import NEGATIVE, POSITIVE, THRESHOLD


def has_text(texts: pa.ChunkedArray | pa.Array) -> pa.ChunkedArray | pa.Array:
    """Where there is something to score: bool, (rows,); null for null, false for blank texts."""
    return pc.and_not(pc.greater(pc.binary_length(texts), 0), pc.utf8_is_space(texts))


def labels(probabilities: pa.Array) -> pa.Array:
    """``positive`` from `THRESHOLD` on, else ``negative``: string, (rows,); null for null."""
    return pc.if_else(
        pc.greater_equal(probabilities, pa.scalar(THRESHOLD, pa.float32())),
        POSITIVE,
        NEGATIVE,
    )


def holds_text(kind: pa.DataType) -> bool:
    """Whether a column of this type may hold text.

    That is string, binary, their large and view types, a dictionary of one of them, an extension
    type that is stored as one of them, such as JSON; and a column that is all null.
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


def as_text(
    column: pa.ChunkedArray | pa.Array, name: str | None, source: str
) -> pa.ChunkedArray | pa.Array:
    """A column of any type that holds text, as plain Arrow strings.

    Args:
        column: Of a type that `holds_text`.
        name: Its name, for the error; None where it has none.
        source: Where it comes from, for the error.

    Raises:
        TextTypeError: It is of another type, or holds bytes that are no UTF-8, or more than 2 GiB.
    """
    if not holds_text(column.type):
        # Without a nested type's field names: those of a frame's dicts are values.
        raise TextTypeError(name, source, f"of type {str(column.type).partition('<')[0]}")
    if isinstance(column.type, pa.BaseExtensionType):
        column = column.cast(column.type.storage_type)
    try:
        text = column.cast(pa.string())
        text.validate(full=True)
        return text
    except pa.ArrowInvalid as error:
        received = "longer than 2 GiB" if "offset" in str(error) else "not valid UTF-8"
    # Apart from Arrow's error, which might quote a text.
    raise TextTypeError(name, source, received)
