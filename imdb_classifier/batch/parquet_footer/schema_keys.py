"""Entries of a footer's key-value metadata that describe the file's columns.

Arrow, pandas, Spark and Hugging Face datasets store the schema a second time, in an entry of their
own, and read it from there.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final, TypeVar

import pyarrow as pa

_Columns = TypeVar("_Columns")

STALE_KEYS: Final = frozenset({b"avro.schema", b"parquet.avro.schema", b"iceberg.schema"})
"""Schemas of other formats. Readers that rely on them would not see the new columns."""

ARROW: Final = b"ARROW:schema"
PANDAS: Final = b"pandas"
HUGGING_FACE: Final = b"huggingface"
SPARK: Final = b"org.apache.spark.sql.parquet.row.metadata"

_PANDAS_TYPES: Final = {pa.string(): ("unicode", "object"), pa.float32(): ("float32", "float32")}
_UNICODE_LABELS: Final = {
    "name": None,
    "field_name": None,
    "pandas_type": "unicode",
    "numpy_type": "object",
    "metadata": {"encoding": "UTF-8"},
}
_HUGGING_FACE_TYPES: Final = {pa.string(): "string", pa.float32(): "float32"}
_SPARK_TYPES: Final = {pa.string(): "string", pa.float32(): "float"}


def extended_value(key: bytes, value: bytes, fields: Sequence[pa.Field]) -> bytes | None:
    """The value of an entry once columns were added, or None if the entry would hide them.

    Args:
        key: The entry's key.
        value: Its value.
        fields: The new columns: strings and 32-bit floats. They follow all others.
    """
    if key in STALE_KEYS:
        return None
    return _EXTENSIONS[key](value, fields) if key in _EXTENSIONS else value


def selected_value(key: bytes, value: bytes, names: Collection[str]) -> bytes:
    """The value of an entry once other columns were left out.

    Args:
        key: The entry's key.
        value: Its value.
        names: The columns that stay.
    """
    return _SELECTIONS[key](value, names) if key in _SELECTIONS else value


def extended_schema(schema: pa.Schema, fields: Sequence[pa.Field]) -> pa.Schema:
    """Add columns to an Arrow schema, and to the entries of its metadata that describe columns.

    Args:
        schema: The schema.
        fields: The new columns: strings and 32-bit floats.
    """
    values = {
        key: extended_value(key, value, fields) for key, value in (schema.metadata or {}).items()
    }
    kept = {key: value for key, value in values.items() if value is not None}
    return pa.schema([*schema, *fields], metadata=kept or None)


def _extend_arrow(value: bytes, fields: Sequence[pa.Field]) -> bytes:
    schema = pa.ipc.read_schema(pa.py_buffer(base64.b64decode(value)))
    return base64.b64encode(extended_schema(schema, fields).serialize())


def _select_arrow(value: bytes, names: Collection[str]) -> bytes:
    schema = pa.ipc.read_schema(pa.py_buffer(base64.b64decode(value)))
    metadata = {
        key: selected_value(key, value, names) for key, value in (schema.metadata or {}).items()
    }
    fields = [field for field in schema if field.name in names]
    return base64.b64encode(pa.schema(fields, metadata=metadata or None).serialize())


def _json(edit: Callable[[Any, _Columns], None]) -> Callable[[bytes, _Columns], bytes]:
    def edited(value: bytes, columns: _Columns) -> bytes:
        try:
            content = json.loads(value)
            edit(content, columns)
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            # Not what its own readers expect, so that they ignore it, too.
            return value
        return json.dumps(content).encode()

    return edited


@_json
def _extend_pandas(content: Any, fields: Sequence[pa.Field]) -> None:
    levels = content["column_indexes"]
    if [level["pandas_type"] for level in levels] not in ([], ["unicode"], ["empty"]):
        # pandas would convert all names, ours among them, to numbers, dates or tuples.
        content["column_indexes"] = [{**_UNICODE_LABELS, "name": levels[0]["name"]}]
    for field in fields:
        pandas_type, numpy_type = _PANDAS_TYPES[field.type]
        content["columns"].append(
            {
                "name": field.name,
                "field_name": field.name,
                "pandas_type": pandas_type,
                "numpy_type": numpy_type,
                "metadata": None,
            }
        )


@_json
def _extend_hugging_face(content: Any, fields: Sequence[pa.Field]) -> None:
    for field in fields:
        content["info"]["features"][field.name] = {
            "dtype": _HUGGING_FACE_TYPES[field.type],
            "_type": "Value",
        }


@_json
def _extend_spark(content: Any, fields: Sequence[pa.Field]) -> None:
    for field in fields:
        content["fields"].append(
            {
                "name": field.name,
                "type": _SPARK_TYPES[field.type],
                "nullable": True,
                "metadata": {},
            }
        )


@_json
def _select_pandas(content: Any, names: Collection[str]) -> None:
    content["columns"] = [
        column for column in content["columns"] if column.get("field_name", column["name"]) in names
    ]
    # A range is described, any other index is a column.
    content["index_columns"] = [
        index for index in content["index_columns"] if isinstance(index, dict) or index in names
    ]


@_json
def _select_hugging_face(content: Any, names: Collection[str]) -> None:
    features = content["info"]["features"]
    content["info"]["features"] = {name: features[name] for name in features if name in names}


@_json
def _select_spark(content: Any, names: Collection[str]) -> None:
    content["fields"] = [field for field in content["fields"] if field["name"] in names]


_EXTENSIONS: Final[Mapping[bytes, Callable[[bytes, Sequence[pa.Field]], bytes]]] = {
    ARROW: _extend_arrow,
    PANDAS: _extend_pandas,
    HUGGING_FACE: _extend_hugging_face,
    SPARK: _extend_spark,
}
_SELECTIONS: Final[Mapping[bytes, Callable[[bytes, Collection[str]], bytes]]] = {
    ARROW: _select_arrow,
    PANDAS: _select_pandas,
    HUGGING_FACE: _select_hugging_face,
    SPARK: _select_spark,
}
