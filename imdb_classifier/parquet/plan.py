"""Which Parquet files an input means, and where the scored copy of each one goes."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Final

from imdb_classifier.errors import CannotWriteError, NoInputError

SUFFIX: Final = ".parquet"


@dataclass(frozen=True)
class PlannedFile:
    """One input file and its output.

    Attributes:
        source: The file to score.
        target: Where its scored copy goes.
        name: Its path relative to the input, with forward slashes, as reports show it.
    """

    source: Path
    target: Path
    name: str


def plan_files(source: str, output: str) -> list[PlannedFile]:
    """The files of an input in the order of their names, each with its output.

    Args:
        source: A Parquet file; a folder, searched through with all its folders (Hive keys such as
            ``day=2026-11-01`` stay as they are); or a pattern such as ``reviews/**/*.parquet``. In
            folders and patterns, names that start with ``.`` or ``_`` are left out, as Spark and
            Arrow do.
        output: For a file, the file to write, or a folder if the name does not end in ``.parquet``;
            otherwise a folder.

    Raises:
        NoInputError: There is no such file or folder, or no Parquet file in it.
        CannotWriteError: An output would lie inside the input, or the output is of the wrong
            kind.
    """
    path = Path(source)
    if path.is_file():
        to_file = output.endswith(SUFFIX) and not Path(output).is_dir()
        target = Path(output) if to_file else Path(output) / path.name
        _check_apart(path, target, source)
        return [PlannedFile(path, target, path.name)]

    if path.is_dir():
        root = path
        found = path.rglob(f"*{SUFFIX}")
    else:
        root = _static_part(source)
        found = (Path(name) for name in glob.iglob(source, recursive=True))
    sources = sorted(
        file
        for file in found
        if file.is_file() and not any(part[0] in "._" for part in file.relative_to(root).parts)
    )
    if not sources:
        raise NoInputError(
            "The input must be a Parquet file, a folder of them, or a glob pattern.",
            f"{source} {'holds no ' + SUFFIX + ' file' if path.is_dir() else 'matches no file'}.",
            "Check the path; names that start with '.' or '_' are left out.",
        )
    if output.endswith(SUFFIX) or Path(output).is_file():
        raise CannotWriteError(
            "The output of a folder or a glob pattern is a folder.",
            f"{output} names a file.",
            "Name a folder as OUTPUT.",
        )
    planned = [
        PlannedFile(
            file,
            Path(output) / file.relative_to(root),
            file.relative_to(root).as_posix(),
        )
        for file in sources
    ]
    for file in planned:
        _check_apart(root, file.target, source)
    return planned


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


def _static_part(pattern: str) -> Path:
    """The folder in front of a pattern's first wildcard."""
    folder = Path(pattern).parent
    while glob.has_magic(str(folder)):
        folder = folder.parent
    return folder


def _check_apart(source: Path, target: Path, source_name: str) -> None:
    inner, outer = target.resolve(), source.resolve()
    if inner == outer or outer in inner.parents:
        raise CannotWriteError(
            "The output must lie outside the input, or the next run would score it too.",
            f"{target} lies in {source_name}.",
            "Name another OUTPUT.",
        )
