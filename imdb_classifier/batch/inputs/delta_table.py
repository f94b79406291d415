"""The live files of a Delta table, from its log."""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final
from urllib.parse import unquote

import pyarrow as pa

from imdb_classifier.batch.inputs.file_names import hive_keys
from imdb_classifier.errors import (
    BadDataError,
    MissingExtraError,
    NoInputError,
    first_line,
    listed,
)
from imdb_classifier.storage import storage_of
from imdb_classifier.storage.temporary import temporary_folder

DELTA_LOG: Final = "_delta_log"
"""Folder in a Delta table that says which of the table's files are live."""

_LAST_CHECKPOINT: Final = "_last_checkpoint"
_ENTRY: Final = re.compile(r"(\d{20})\..*(?<!\.crc)")
_SIDECARS: Final = "_sidecars/"
_EXPORT: Final = "write its rows to a plain folder, for example with Spark, and score that."


def live_files(table: str) -> list[str]:
    """Return the files that hold the current rows of a Delta table.

    Args:
        table: The table's folder.

    Returns:
        Paths relative to the folder, sorted.

    Raises:
        MissingExtraError: deltalake is not installed.
        NoInputError: The table has no files.
        BadDataError: The log cannot be read, or its files alone do not have the table's rows:
            some rows are deleted in deletion vectors, columns are renamed, values of partition
            columns are not in the folders' names, or files are elsewhere.
        OSError: The system or the server refuses to read the log.
    """
    try:
        from deltalake import DeltaTable
        from deltalake.exceptions import DeltaError
    except ImportError as error:
        raise MissingExtraError(f"Reading {table}, a Delta table,", "deltalake", "delta") from error
    # A copy of the log is enough, and the same in every storage. deltalake would look up endpoints
    # and credentials in its own way, and fails in folders whose names contain "%".
    with temporary_folder() as copy:
        _copy_log(table, Path(copy, DELTA_LOG))
        try:
            log = DeltaTable(str(copy))
            paths: list[str] = pa.table(log.get_add_actions()).column("path").to_pylist()
        except DeltaError as error:
            raise BadDataError(
                "The log of a Delta table must be readable.",
                f"Reading that of {table} failed: {first_line(error)}.",
                f"Check the table, upgrade deltalake, or {_EXPORT}",
            ) from error
        try:
            has_deleted_rows = pa.table(log.deletion_vectors()).num_rows > 0
        except DeltaError:
            # The vectors are in files beside the log.
            has_deleted_rows = True
    if has_deleted_rows:
        raise BadDataError(
            "Deletion vectors are not supported: deleted rows would be scored.",
            f"{table} has files with deletion vectors.",
            f"Rewrite these files with Spark's REORG TABLE ... APPLY (PURGE), or {_EXPORT}",
        )
    if log.metadata().configuration.get("delta.columnMapping.mode", "none") != "none":
        raise BadDataError(
            "Column mapping is not supported: columns have other names in the files.",
            f"{table} uses it.",
            f"To score it, {_EXPORT}",
        )
    names = sorted(map(unquote, paths))
    _check_names(names, table, log.metadata().partition_columns)
    return names


def _copy_log(table: str, copy: Path) -> None:
    """Copy the part of the log that decides the current state: from its last checkpoint on."""
    storage = storage_of(table)
    log = posixpath.join(table, DELTA_LOG)
    names = storage.find(log).names
    first = 0
    if _LAST_CHECKPOINT in names:
        with suppress(ValueError, LookupError, TypeError):
            first = int(
                json.loads(storage.read_text(posixpath.join(log, _LAST_CHECKPOINT)))["version"]
            )
    for name in names:
        entry = _ENTRY.fullmatch(name)
        if name.startswith(_SIDECARS) or (entry and int(entry[1]) >= first):
            target = copy / name
            target.parent.mkdir(parents=True, exist_ok=True)
            with storage.open(posixpath.join(log, name)) as file:
                target.write_bytes(file.read())


def _check_names(names: Sequence[str], table: str, partition_columns: Sequence[str]) -> None:
    if not names:
        raise NoInputError(
            "A Delta table must have rows to score.", f"{table} has none.", "Check the path."
        )
    for name in names:
        *folders, _ = name.split("/")
        if "://" in name or name.startswith("/") or ".." in folders:
            raise BadDataError(
                "All files of a Delta table must be in its folder.",
                f"{name} of {table} is not, as in a shallow clone.",
                f"To score it, {_EXPORT}",
            )
        missing = set(partition_columns) - hive_keys(name)
        if missing:
            raise BadDataError(
                "Folders must have the values of a Delta table's partition columns in their names.",
                f"{name} of {table} has none for {listed(sorted(missing))}.",
                f"To score it, {_EXPORT}",
            )
