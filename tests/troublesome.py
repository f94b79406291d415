"""A folder of troublesome Parquet files: ``python -m tests.troublesome FOLDER`` writes it."""

from __future__ import annotations

import base64
import datetime as dt
import gzip
import io
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import duckdb
import fastparquet  # type: ignore[import-untyped]
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.parquet.encryption as pe
from pyarrow import feather

from imdb_classifier import errors

Texts = list[str | None]
Write = Callable[[Path], object]
TEXTS: Final[Texts] = [
    "A wonderful film.",
    None,
    "",
    " \t\n\u3000",
    "Dull and badly acted.",
    "Good 🎬, élan 👩‍👩‍👧",
    "סרט נפלא, كئيب",
    "One\0NUL inside",
]
PLAIN: Final[Texts] = ["A wonderful film.", None, "Dull and badly acted."]
NOT_UTF8: Final = (b"\xff", b"\xed\xa0\x80")
"""A byte that is never in UTF-8; a surrogate, as in Java's modified UTF-8."""


@dataclass(frozen=True)
class Case:
    """One input file and what must happen to it.

    Attributes:
        file: Its path in the folder that is named after its text column.
        write: Writes it.
        texts: The values of the text column, if the file is legal.
        refused: The class of the error, if it is not legal.
        match: A pattern for that error, which must name the file as well.
        text_column: The value of ``text_column``.
    """

    file: str
    write: Write = field(repr=False)
    texts: Texts | None = None
    refused: type[errors.ImdbClassifierError] | None = None
    match: str = ""
    text_column: str = "text"

    @property
    def name(self) -> str:
        """Its printable path in the folder that `make_folder` fills."""
        return printable(f"{self.text_column}/{self.file}")


def printable(name: str) -> str:
    """Return a file name with line breaks and bytes that are not UTF-8 escaped."""
    return os.fsencode(name).decode("utf-8", "backslashreplace").replace("\n", r"\n")


def place(column: str, group: int = 0) -> str:
    """Return a pattern for errors that name a column and a row group, counted from 0 or 1."""
    return rf"(?is)(?=.*'{column}')(?=.*row group [{group}{group + 1}])"


def parquet(table: pa.Table, **options: Any) -> bytes:
    pq.write_table(table, sink := io.BytesIO(), **options)
    return sink.getvalue()


def raw(content: bytes) -> Write:
    return lambda path: path.write_bytes(content)


def arrow(columns: dict[str, Any], **options: Any) -> Write:
    # Not by path, because pyarrow only opens names in UTF-8.
    return lambda path: path.write_bytes(parquet(pa.table(columns), **options))


def sql(columns: str) -> Write:
    query = f"SELECT {columns} FROM (SELECT unnest(['{PLAIN[0]}', NULL, '{PLAIN[2]}']) AS t)"
    return lambda path: duckdb.execute(f"COPY ({query}) TO '{path}' (FORMAT parquet)")


def fast(texts: list[Any], encoding: str) -> Write:
    frame = pd.DataFrame({"text": pd.Series(texts, dtype=object)})
    return lambda path: fastparquet.write(str(path), frame, object_encoding=encoding)


def in_groups(schema: pa.Schema, *groups: dict[str, Any]) -> Write:
    """Write each row group with its own dictionaries."""

    def write(path: Path) -> None:
        with pq.ParquetWriter(path, schema) as writer:
            for group in groups:
                writer.write_table(pa.table(group, schema))

    return write


def unchecked(*texts: bytes | None) -> pa.Array:
    """Return strings with these bytes, which need not be UTF-8."""
    return pa.array(texts, pa.binary()).view(pa.string())


def annotated(texts: Texts) -> pa.Array:
    """Return texts with Arrow's extension type JSON."""
    return pa.ExtensionArray.from_storage(pa.json_(), pa.array(texts))


def damaged(column: str, group: int, at: int) -> Write:
    """Flip a byte of a column chunk in one of 3 row groups: 1 is in a page header, -6 in data."""
    table = pa.table({"n": range(90), "text": PLAIN * 30})
    content = bytearray(parquet(table, row_group_size=30, write_page_checksum=True))
    row_group = pq.read_metadata(io.BytesIO(content)).row_group(group)
    chunk = row_group.column(table.column_names.index(column))
    content[chunk.dictionary_page_offset + at % chunk.total_compressed_size] ^= 0xFF
    return raw(bytes(content))


class _KeysInTheOpen(pe.KmsClient):  # type: ignore[misc]
    def __init__(self, config: pe.KmsConnectionConfig) -> None:
        super().__init__()

    def wrap_key(self, key_bytes: bytes, master_key_identifier: str) -> bytes:
        return base64.b64encode(key_bytes)


def encrypted(**options: Any) -> Write:
    def write(path: Path) -> None:
        keys = pe.EncryptionConfiguration("key", column_keys={"key": ["text"]}, **options)
        # These properties can be used for one file only.
        properties = pe.CryptoFactory(_KeysInTheOpen).file_encryption_properties(
            pe.KmsConnectionConfig(), keys
        )
        pq.write_table(pa.table({"text": PLAIN}), path, encryption_properties=properties)

    return write


MOMENT: Final = dt.datetime(2026, 11, 24, 8, 30)
OTHER_COLUMNS: Final[dict[str, pa.Array]] = {
    **{f"{unit} {zone}": pa.array([MOMENT, None, MOMENT], pa.timestamp(unit, zone))
       for unit in ("s", "ms", "us", "ns") for zone in (None, "Europe/Berlin", "-03:30")},
    **{str(kind): pa.array([1, None, 3], kind)
       for kind in (pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64(), pa.float16(), pa.date32(),
                    pa.duration("s"), pa.duration("ns"), pa.time32("ms"), pa.time64("ns"))},
    **{str(kind): pa.array([Decimal("1.50"), None, Decimal("-2.25")], kind)
       for kind in (pa.decimal32(5, 2), pa.decimal128(38, 9), pa.decimal256(60, 9))},
    **{str(kind): pa.array([b"\xff\x00", None, b"ok"], kind)
       for kind in (pa.binary(), pa.large_binary(), pa.binary_view(), pa.binary(2))},
    **{str(kind): pa.array([[1, None], None, [2, 3]], kind)
       for kind in (pa.list_(pa.int16()), pa.large_list(pa.uint8()))},
    # Arrow 26 is the first release that writes and reads nulls among lists of a fixed size.
    "fixed size": pa.array([[1, None], None if pa.cpp_version_info.major >= 26 else [4, 5], [2, 3]],
                           pa.list_(pa.int16(), 2)),
    "map": pa.array([[("k", [1])], None, []], pa.map_(pa.string(), pa.list_(pa.int32()))),
    "deep": pa.array([{"a": [{"b": {"c": "x"}}], "d": None}, None, {"a": [], "d": 1}]),
    "null": pa.nulls(3),
    "only nulls": pa.nulls(3, pa.list_(pa.string())),
    "uuid": pa.array([bytes(16), None, bytes(range(16))], pa.uuid()),
    "json": annotated(["{}", None, "[1]"]),
    "bool8": pa.ExtensionArray.from_storage(pa.bool8(), pa.array([1, None, 0], pa.int8())),
    "category": pa.array(["x", None, "y"]).dictionary_encode(),
    "int category": pa.array([7, None, 9]).dictionary_encode(),
    "no UTF-8": unchecked(b"\xff", None, b"ok"),
    "": pa.array([True, None, False]),
}  # fmt: skip
GOOD: Final = parquet(pa.table({"n": range(90), "text": PLAIN * 30}))


def _legal(group: str, texts: Texts, writes: dict[str, Write]) -> list[Case]:
    return [Case(f"{group}/{name}.parquet", write, texts) for name, write in writes.items()]


def _refused(
    group: str, error: type[errors.ImdbClassifierError], match: str, writes: dict[str, Write]
) -> list[Case]:
    return [
        Case(f"{group}/{name}.parquet", write, refused=error, match=match)
        for name, write in writes.items()
    ]


TYPES: Final = [
    *_legal("types", TEXTS, {
        **{str(kind): arrow({"text": pa.array(TEXTS, kind)})
           for kind in (pa.string(), pa.large_string(), pa.string_view())},
        **{str(kind): arrow({"text": pa.array(TEXTS).cast(pa.binary()).cast(kind)})
           for kind in (pa.binary(), pa.large_binary(), pa.binary_view())},
        "dictionary": arrow({"text": pa.array(TEXTS).dictionary_encode()}),
        "json": arrow({"text": annotated(TEXTS)}),
        "pandas": pd.DataFrame({"text": TEXTS}).to_parquet,
        "pandas categorical": pd.DataFrame({"text": pd.Categorical(TEXTS)}).to_parquet,
        "polars": pl.DataFrame({"text": TEXTS}).write_parquet,
        "polars categorical": pl.DataFrame({"text": pl.Series(TEXTS, dtype=pl.Categorical)})
            .write_parquet,
        "fastparquet": fast(TEXTS, "utf8"),
        "fastparquet bytes": fast([t if t is None else t.encode() for t in TEXTS], "bytes"),
    }),
    *_legal("types", PLAIN, {"duckdb": sql("t AS text"), "duckdb blob": sql("t::BLOB AS text")}),
    *_legal("types", [t and f'"{t}"' for t in PLAIN], {"fastparquet json": fast(PLAIN, "json")}),
    *_legal("types", [None] * 3, {"null": arrow({"text": pa.nulls(3)})}),
    *_refused("types", errors.TextTypeError, place("text") + ".*not valid UTF-8", {
        f"{kind} not UTF-8 {code.hex()}":
            arrow({"text": unchecked(b"Good", b"canary" + code).cast(kind)})
        for code in NOT_UTF8 for kind in (pa.string(), pa.binary())}),
    *_refused("types", errors.TextTypeError, "'text'.* must contain text", {
        "int64": arrow({"text": [1]}), "list": arrow({"text": [["Good"]]})}),
]  # fmt: skip
FIELDS: Final = [
    *[Case(f"struct of {kind}.parquet", arrow({"review": pa.array(
           [None if t is None else {"stars": 3, "body": t} for t in TEXTS],
           pa.struct([("stars", pa.int8()), ("body", kind)]))}), TEXTS, text_column="review.body")
      for kind in (pa.string(), pa.large_string())],
    Case("a dot.parquet", arrow({"review.body": TEXTS}), TEXTS, text_column="review.body"),
    Case("another field.parquet", arrow({"review": [{"title": "Good"}]}), None,
         errors.MissingColumnError, "'review.body'.*`text_column`", "review.body"),
    Case("int64.parquet", arrow({"review": [{"body": 1}]}), None,
         errors.TextTypeError, "'review.body'.* must contain text", "review.body"),
]  # fmt: skip
SHAPES: Final = [
    *_legal("shape", [], {
        "no rows": arrow({"n": pa.array([], pa.int8()), "text": pa.array([], pa.string())}),
        "no row groups": in_groups(pa.schema({"text": pa.string()}))}),
    *[Case(f"shape/{rows} rows by {most}.parquet",
           arrow({"n": range(rows), "text": [*PLAIN, *[None] * (rows - 3)]}, row_group_size=most),
           [*PLAIN, *[None] * (rows - 3)])
      for rows, most in ((10_000, 1), (300_000, 300_000))],
    *_refused("shape", errors.MissingColumnError, "'text'.*columns: (none|body).*`text_column`", {
        "no columns": arrow({}), "other columns": arrow({"body": ["Good"]})}),
    *_refused("shape", errors.AmbiguousColumnError, "2 columns named 'text'.*`text_column`", {
        "text twice": raw(parquet(pa.table([["a"], ["b"]], ["text", "text"])))}),
    *_refused("shape", errors.ColumnExistsError, "sentiment_label.*`prefix`", {
        "ours already": arrow({"text": ["Good"], "sentiment_label": ["x"]})}),
]  # fmt: skip
COLUMNS: Final = [
    *_legal("columns", PLAIN, {
        **{f"{i:02} {name}".replace("/", " "): arrow({name: column, "text": PLAIN})
           for i, (name, column) in enumerate(OTHER_COLUMNS.items())},
        "all": arrow({**OTHER_COLUMNS, "text": PLAIN}, row_group_size=2),
        "one name": raw(parquet(pa.table([[1, 2, 3], PLAIN, [4, 5, 6]], ["a", "text", "a"]))),
        "int96": arrow({"t": pa.array([MOMENT] * 3), "text": PLAIN},
                       use_deprecated_int96_timestamps=True),
        "field id": raw(parquet(pa.table([[1, 2, 3], PLAIN], pa.schema([
            pa.field("n", pa.int8(), metadata={"PARQUET:field_id": "7", "unit": "stars"}),
            ("text", pa.string())])))),
        "polars": pl.DataFrame({"text": PLAIN, "time": [dt.time(1)] * 3, "array":
            pl.Series([[1, 2]] * 3, dtype=pl.Array(pl.Int8, 2))}).write_parquet,
        "duckdb": sql("t AS text, uuid() AS u, '[1]'::JSON AS j, 1.5::DECIMAL(38, 3) AS d, "
                      "MAP {'a': [1]} AS m, now() AS z, union_value(a := 1) AS v")}),
    # More categories in total than an index of eight bits can hold.
    *_legal("columns", ["Good", *[None] * 99] * 3, {"300 categories by 100": in_groups(
        pa.schema({"c": pa.dictionary(pa.int8(), pa.string()), "text": pa.string()}),
        *[{"c": pa.array([f"{group}-{i}" for i in range(100)]).dictionary_encode().cast(
            pa.dictionary(pa.int8(), pa.string())), "text": ["Good", *[None] * 99]}
          for group in range(3)])}),
    *_legal("hive", PLAIN, {f"day={day}/x": arrow({"day": ["another"] * 3, "text": PLAIN})
                            for day in ("2026-11-01", "__HIVE_DEFAULT_PARTITION__", "a%2Fb")}),
    *_legal("schemas", PLAIN, {"1": arrow({"n": [1, 2, 3], "text": PLAIN}),
                               "2": arrow({"text": PLAIN, "n": ["1", "2", "3"]})}),
]  # fmt: skip
UNREADABLE: Final = [
    *[Case(f"damaged/{column} {group} {at}.parquet", damaged(column, group, at), None,
           errors.UnreadableFileError, place(column, group))
      for column in ("text",) for group in (0, 1) for at in (1, -6)],
    *_refused("damaged", errors.UnreadableFileError, "", {
        "cut": raw(GOOD[:500]), "cut at the end": raw(GOOD[:-20]), "empty": raw(b""),
        "magic": raw(GOOD[:-4] + b"PARX"), "footer": raw(GOOD[:-100] + bytes(92) + GOOD[-8:]),
        "column name": raw(GOOD.replace(b"text", b"te\xfft", 1))}),
    *_refused("formats", errors.UnreadableFileError, "", {
        "csv": raw(b"text\nGood\n"), "json": raw(b'{"text": "Good"}\n'),
        "gzip": raw(gzip.compress(GOOD)),
        "arrow": lambda path: feather.write_feather(pa.table({"text": PLAIN}), str(path))}),
    *_refused("encrypted", errors.UnreadableFileError, "(?i)(en|de)crypt", {
        "footer": encrypted(), "column": encrypted(plaintext_footer=True)}),
]  # fmt: skip
NO_UTF8_NAME: Final = os.fsdecode(b"na\xefve")
NAMES: Final = [
    *_legal("folder.parquet", PLAIN * 30, {"part-0": raw(GOOD)}),
    *_legal("names", PLAIN * 30, {name: raw(GOOD) for name in (
        "two words", "критика 🎬", "a=b", "a%20b%", "line\nbreak", "-o", "quo'te\"", "[a]*?",
        "day=[1]/x", NO_UTF8_NAME)}),
    *_refused("names of refused files", errors.UnreadableFileError, "", {
        NO_UTF8_NAME: raw(b""), "line\nbreak": raw(b"")}),
]  # fmt: skip
CASES: Final = [*TYPES, *FIELDS, *SHAPES, *COLUMNS, *UNREADABLE, *NAMES]

LEFT_OUT: Final = (
    "_SUCCESS", "_metadata", "_common_metadata", ".part-0.parquet.crc", ".hidden.parquet",
    "_temporary/0/x.parquet", "_spark_metadata/0", "README.txt",
)  # fmt: skip
"""Files of other systems next to the data; they are ignored."""


def long_case() -> Case:
    """Return a review of 100 MB; separate, because it takes seconds and a gigabyte."""
    text = "A fine, slow film. " * 5_263_158
    return Case("long.parquet", arrow({"text": [text]}), [text])


def make_folder(folder: Path, cases: Sequence[Case] = CASES) -> None:
    """Write each case into the folder of its text column, with ignored files next to them."""
    writes = {f"{case.text_column}/{case.file}": case.write for case in cases}
    for beside in ("text", "text/hive/day=2026-11-01"):
        writes |= {f"{beside}/{name}": raw(GOOD) for name in LEFT_OUT}
    for name, write in writes.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write(folder / name)


if __name__ == "__main__":
    make_folder(Path(sys.argv[1]))
    for made in CASES:
        print(made.refused.__name__ if made.refused else "legal", repr(made.name))
