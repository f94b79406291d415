"""Folders of tables that list their files: Delta, Hudi and Iceberg."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Sequence, Set
from typing import Final

from imdb_classifier.batch.inputs.delta_table import DELTA_LOG
from imdb_classifier.errors import BadDataError
from imdb_classifier.storage import storage_of

_LOGS: Final = {DELTA_LOG: "Delta", ".hoodie": "Hudi"}
_ICEBERG_LOG: Final = "metadata"
_ICEBERG_DATA: Final = "data"


def check_tables(source: str, root: str, names: Sequence[str], folders: Set[str]) -> None:
    """Make sure that no file belongs to a table that says itself which files are its rows.

    The others in its folder hold rows that were deleted or replaced.

    Args:
        source: The input.
        root: The folder that names are relative to.
        names: The files to score.
        folders: The folders in `root`.

    Raises:
        BadDataError: Some file does.
        OSError: The system or the server refuses to read a folder.
    """
    tables = [
        (posixpath.join(root, table), kind)
        for table, kind in _tables_in(root, folders)
        if any(name.startswith(f"{table}/" if table else "") for name in names)
    ]
    for table, kind in (*tables, *_tables_around(root)):
        received = f"{source} takes files from the {kind} table {table.rstrip('/') or '.'}."
        if kind == "Delta":
            raise BadDataError(
                "Only live files of a Delta table can be scored, so it must be the whole input.",
                received,
                f"Pass {table.rstrip('/') or '.'} as `source`.",
            )
        raise BadDataError(
            f"{kind} tables are not supported: deleted and replaced rows would be scored.",
            received,
            "Write the table's rows to a plain folder, for example with Spark, and score that.",
        )


def _tables_in(root: str, folders: Set[str]) -> Iterator[tuple[str, str]]:
    """Yield the tables in a folder: relative path and kind."""
    for folder in sorted(folders):
        table, name = posixpath.split(folder)
        if name in _LOGS:
            yield table, _LOGS[name]
        is_like_iceberg = name == _ICEBERG_LOG and posixpath.join(table, _ICEBERG_DATA) in folders
        if is_like_iceberg and _is_iceberg(posixpath.join(root, folder)):
            yield table, "Iceberg"


def _tables_around(root: str) -> Iterator[tuple[str, str]]:
    """Yield the tables that a folder is a Hive partition of, or all data: path and kind."""
    storage = storage_of(root)
    folder = partition = storage.absolute(root).rstrip("/")
    while "=" in posixpath.basename(folder):
        folder = posixpath.dirname(folder)
    if folder != partition:
        for name, kind in _LOGS.items():
            if storage.kind(posixpath.join(folder, name)) == "folder":
                yield folder, kind
    table, name = posixpath.split(folder)
    log = posixpath.join(table, _ICEBERG_LOG)
    if name == _ICEBERG_DATA and storage.kind(log) == "folder" and _is_iceberg(log):
        yield table, "Iceberg"


def _is_iceberg(log: str) -> bool:
    return any(name.endswith(".metadata.json") for name in storage_of(log).find(log).names)
