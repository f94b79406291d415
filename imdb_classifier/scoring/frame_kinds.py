"""Conversion of in-memory data (pandas, Polars, Arrow, NumPy and lists) to Arrow and back."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa

from imdb_classifier.errors import TextTypeError, UnsupportedDataError
from imdb_classifier.scoring.text_columns import as_text, holds_text, type_name

if TYPE_CHECKING:
    import polars as pl

PIECE_ROWS: Final = 65_536

_FRAMES: Final = (
    "score_dataframe takes a pandas or Polars DataFrame or Series, an Arrow table, record batch or "
    "array, a one-dimensional NumPy array, or a sequence of strings."
)


class Frame(ABC):
    """A data frame or table with a column to score."""

    names: Collection[Hashable]
    """Names of the columns, which may repeat."""

    @abstractmethod
    def column(self, name: Hashable) -> object:
        """Return a column by its unique name, in the library's own type."""

    @abstractmethod
    def with_columns(self, columns: Mapping[str, pa.Array]) -> Any:
        """Return a new frame of the same kind with these columns added."""


class PandasFrame(Frame):
    """A pandas DataFrame; its index is kept."""

    def __init__(self, frame: pd.DataFrame) -> None:
        self.names = frame.columns
        self._frame = frame

    def column(self, name: Hashable) -> object:
        return self._frame[name]

    def with_columns(self, columns: Mapping[str, pa.Array]) -> pd.DataFrame:
        result = self._frame.copy(deep=False)
        lower_levels = [""] * (result.columns.nlevels - 1)
        for name, values in columns.items():
            series = values.to_pandas(types_mapper={pa.string(): pd.StringDtype()}.get)
            result[(name, *lower_levels) if lower_levels else name] = series.array
        return result


class PolarsFrame(Frame):
    """A Polars DataFrame."""

    def __init__(self, frame: pl.DataFrame) -> None:
        self.names = frame.columns
        self._frame = frame

    def column(self, name: Hashable) -> object:
        return self._frame[str(name)]

    def with_columns(self, columns: Mapping[str, pa.Array]) -> pl.DataFrame:
        import polars as pl

        new = (pl.Series(name, values) for name, values in columns.items())
        return pl.DataFrame([*self._frame.get_columns(), *new])


class ArrowFrame(Frame):
    """An Arrow table or record batch; the metadata of its schema is kept."""

    def __init__(self, table: pa.Table | pa.RecordBatch) -> None:
        self.names = table.schema.names
        self._table = table

    def column(self, name: Hashable) -> object:
        return self._table.column(name)

    def with_columns(self, columns: Mapping[str, pa.Array]) -> pa.Table | pa.RecordBatch:
        schema = self._table.schema
        for name, values in columns.items():
            schema = schema.append(pa.field(name, values.type))
        values = [*self._table.columns, *columns.values()]
        return type(self._table).from_arrays(values, schema=schema)


def open_data(data: object) -> tuple[Frame, object | None]:
    """Return the frame to add columns to, and the texts, or None if they are in the frame.

    Args:
        data: A frame; or texts alone, for which an empty frame of the same library is returned
            (pandas for lists and NumPy arrays).

    Raises:
        UnsupportedDataError: It is neither.
    """
    # Polars objects exist only if Polars has been imported.
    polars = sys.modules.get("polars")
    if isinstance(data, pd.DataFrame):
        return PandasFrame(data), None
    if isinstance(data, pa.Table | pa.RecordBatch):
        return ArrowFrame(data), None
    if polars and isinstance(data, polars.DataFrame):
        return PolarsFrame(data), None
    if isinstance(data, pd.Series):
        return PandasFrame(pd.DataFrame(index=data.index)), data
    if isinstance(data, pa.Array | pa.ChunkedArray):
        return ArrowFrame(pa.table({})), data
    if polars and isinstance(data, polars.Series):
        return PolarsFrame(polars.DataFrame()), data
    if isinstance(data, str | bytes):
        raise UnsupportedDataError(_FRAMES, "a single text", "Pass a list of texts.")
    if polars and isinstance(data, polars.LazyFrame):
        raise UnsupportedDataError(_FRAMES, "a Polars LazyFrame", "Call its collect() first.")
    if isinstance(data, np.ndarray) and data.ndim != 1:
        received = f"a NumPy array of {data.ndim} dimensions"
        raise UnsupportedDataError(_FRAMES, received, "Pass an array of one dimension.")
    if isinstance(data, Sequence | np.ndarray | pd.Index | pd.api.extensions.ExtensionArray):
        return PandasFrame(pd.DataFrame(index=pd.RangeIndex(len(data)))), data
    kind = f"{type(data).__module__}.{type(data).__qualname__}"
    raise UnsupportedDataError(_FRAMES, f"a {kind}", "Convert it to one of these.")


def to_text(texts: Any, name: str | None) -> pa.ChunkedArray:
    """Return texts of any kind as plain Arrow strings.

    Args:
        texts: A column of a `Frame`, or the texts that `open_data` returned.
        name: The column's name, for errors; None if it has none.

    Raises:
        TextTypeError: They have another type, or some of them are not text.
    """
    try:
        column = _to_arrow(texts)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        reason = "a mixture of text and other values"
    except pa.ArrowNotImplementedError:
        reason = f"of a type that pyarrow {pa.__version__} does not read"
    except UnicodeEncodeError:
        reason = "not valid Unicode"
    else:
        if holds_text(column.type):
            chunks: Iterable[pa.Array] = getattr(column, "chunks", [column])
            # In slices, because an array of plain Arrow strings holds at most 2 GiB.
            pieces = [
                chunk.slice(start, PIECE_ROWS)
                for chunk in chunks
                for start in range(0, len(chunk), PIECE_ROWS)
            ]
            return as_text(pa.chunked_array(pieces, column.type), name, "the data")
        reason = f"of type {type_name(column.type)}"
    # Raised outside the handlers: a chained exception might quote a value.
    raise TextTypeError(name, "the data", f"{reason}{_first_other(texts)}")


def _first_other(texts: Any) -> str:
    """Say where the first of some Python values is that is not text, without quoting it."""
    is_arrow = isinstance(texts, pa.Array | pa.ChunkedArray) or hasattr(texts, "to_arrow")
    if is_arrow or getattr(texts, "dtype", None) not in (None, np.dtype(object)):
        return ""
    for position, value in enumerate(texts):
        if not isinstance(value, str | bytes) and not (
            pd.api.types.is_scalar(value) and pd.isna(value)
        ):
            return f"; position {position} holds a value of type {type(value).__name__}"
    return ""


def _to_arrow(texts: Any) -> pa.Array | pa.ChunkedArray:
    if isinstance(texts, pa.Array | pa.ChunkedArray):
        return texts
    if hasattr(texts, "to_arrow"):  # Polars
        return texts.to_arrow()
    column = pa.array(texts, from_pandas=True)
    # Without any value, the type is a mere guess by pandas, NumPy or pyarrow.
    return pa.nulls(len(column), pa.string()) if column.null_count == len(column) else column
