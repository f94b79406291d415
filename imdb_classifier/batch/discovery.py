"""Which Parquet files an input means, and where the scored copy of each one goes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Final

from imdb_classifier.errors import (
    CannotWriteError,
    NoInputError,
    UnreadableFileError,
    cannot_write,
    first_line,
    printable,
)
from imdb_classifier.storage import OBJECT_STORE, SUFFIX, Kind, static_part, storage_of

QUARANTINE: Final = "_quarantine"
"""The folder in an output that lists what could not be scored."""


@dataclass(frozen=True)
class DiscoveredFile:
    """One input file and its output.

    Attributes:
        source: The file to score.
        target: Where its scored copy goes.
        name: Its path relative to the input, with forward slashes, as reports show it.
        quarantine: Where rows are listed that cannot be scored, if that is asked for.
    """

    source: str
    target: str
    name: str
    quarantine: str


def discover_files(source: str, output: str) -> list[DiscoveredFile]:
    """The files of an input in the order of their names, each with its output.

    Both may lie on this machine or, as ``s3://bucket/...``, in an object store.

    Args:
        source: A Parquet file; a folder, searched through with all its folders (Hive keys such as
            ``day=2026-11-01`` stay as they are); or a pattern such as ``reviews/**/*.parquet``. In
            folders and patterns, names that start with ``.`` or ``_`` are left out, as Spark and
            Arrow do.
        output: For a file, the file to write, or a folder if the name does not end in ``.parquet``;
            otherwise a folder.

    Raises:
        NoInputError: There is no such file or folder, or no Parquet file in it.
        UnreadableFileError: The place of the input cannot be reached.
        CannotWriteError: An output would lie inside the input, or the output is of the wrong
            kind.
    """
    root, names = _found(source)
    if root is None:
        return [_single_file(source, output)]
    if output.endswith(SUFFIX) or _kind_of_output(output) == "file":
        raise CannotWriteError(
            "The output of a folder or a glob pattern is a folder.",
            f"{output} names a file.",
            "Name a folder as OUTPUT.",
        )
    for name in names:
        _check_apart(root, os.path.join(output, name), source)
    return [
        DiscoveredFile(
            os.path.join(root, name),
            os.path.join(output, name),
            printable(name),
            os.path.join(output, QUARANTINE, name),
        )
        for name in names
    ]


def find_files(source: str) -> list[tuple[str, str]]:
    """The files of an input in the order of their names: path and printable name of each.

    Args:
        source: See `discover_files`.

    Raises:
        NoInputError: There is no such file or folder, or no Parquet file in it.
        UnreadableFileError: Its place cannot be reached.
    """
    root, names = _found(source)
    if root is None:
        return [(source, printable(os.path.basename(source)))]
    return [(os.path.join(root, name), printable(name)) for name in names]


def is_hidden(name: str) -> bool:
    """Whether a path relative to its folder is left out, as Spark and Arrow do."""
    return any(part[0] in "._" for part in name.split("/"))


def group_files(rows: Sequence[int], most: int, least_rows: int) -> list[range]:
    """Neighbouring files put together into units of about equal work.

    Args:
        rows: Rows of each file, in order.
        most: Units at the most.
        least_rows: Rows of a unit at the least, but for the last one: a unit has a cost of its own.

    Returns:
        The positions of each unit's files; together every file once, in order.
    """
    goal = max(least_rows, -(-sum(rows) // most), 1)
    # A file belongs to the unit in which its first row would fall; an empty last file, to the last.
    befores = accumulate(rows[:-1], initial=0)
    unit_of_file = [min(before // goal, most - 1) for before in befores]
    starts = [i for i, unit in enumerate(unit_of_file) if i == 0 or unit != unit_of_file[i - 1]]
    return [range(start, end) for start, end in pairwise([*starts, len(rows)])]


def _found(source: str) -> tuple[str | None, list[str]]:
    """The folder that an input's names are relative to, and these; None for a single file."""
    storage = storage_of(source)
    try:
        kind = storage.kind(source)
        if kind == "file":
            return None, []
        root = source if kind == "folder" else static_part(source)
        names = (
            storage.find(source)
            if kind == "folder"
            else [os.path.relpath(path, root or ".") for path in storage.match(source)]
        )
    except OSError as error:
        raise UnreadableFileError(source, first_line(error)) from error
    # Only a folder is looked through for names; a pattern says which it wants.
    names = sorted(
        name for name in names if (kind is None or name.endswith(SUFFIX)) and not is_hidden(name)
    )
    if not names:
        raise NoInputError(
            "The input must be a Parquet file, a folder of them, or a glob pattern.",
            f"{source} {'holds no ' + SUFFIX + ' file' if kind else 'matches no file'}.",
            "Check the path; names that start with '.' or '_' are left out.",
        )
    return root, names


def _single_file(source: str, output: str) -> DiscoveredFile:
    name = os.path.basename(source)
    to_file = output.endswith(SUFFIX) and _kind_of_output(output) != "folder"
    target = output if to_file else os.path.join(output, name)
    _check_apart(source, target, source)
    quarantine = os.path.join(os.path.dirname(target), QUARANTINE, name)
    return DiscoveredFile(source, target, printable(name), quarantine)


def _kind_of_output(output: str) -> Kind | None:
    try:
        return storage_of(output).kind(output)
    except OSError as error:
        raise cannot_write(output, error) from error


def _check_apart(source: str, target: str, source_name: str) -> None:
    inner, outer = (
        path if path.startswith(OBJECT_STORE) else os.path.realpath(path)
        for path in (target, source)
    )
    if inner == outer or inner.startswith(outer.rstrip("/") + "/"):
        raise CannotWriteError(
            "The output must lie outside the input, or the next run would score it too.",
            f"{target} lies in {source_name}.",
            "Name another OUTPUT.",
        )
