"""Files that are scored together: in this process, or as a unit in another one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import accumulate, pairwise
from typing import Any, Self

from imdb_classifier.batch.inputs.discovery import DiscoveredFile
from imdb_classifier.batch.options import ScoreOptions


@dataclass(frozen=True, slots=True)
class FileToScore:
    """A file that a run scores.

    Attributes:
        file: The file and its output.
        rows: Rows in it; 0 if it cannot be read.
        replaces: Whether its output exists and is to be replaced.
    """

    file: DiscoveredFile
    rows: int
    replaces: bool


@dataclass(frozen=True)
class Unit:
    """Files that one process scores; plain values, so that it can be another process.

    Attributes:
        files: The files, in the order of the run.
        options: Columns, and rows without text.
        ends_at: The deadline, in seconds since 1970; None for no deadline.
        bad_files: Number of files that may fail before the unit stops; None for any number.
        raise_errors: Raise a file's error instead of returning it.
    """

    files: tuple[FileToScore, ...]
    options: ScoreOptions
    ends_at: float | None = None
    bad_files: int | None = None
    raise_errors: bool = False

    @cached_property
    def rows(self) -> int:
        """Rows in all files."""
        return sum(file.rows for file in self.files)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return the unit that `to_dict` describes."""
        files = (
            FileToScore(**{**file, "file": DiscoveredFile(**file["file"])})
            for file in values["files"]
        )
        return cls(
            **{**values, "files": tuple(files), "options": ScoreOptions(**values["options"])}
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the unit as plain JSON values."""
        return asdict(self)


def group_files(rows: Sequence[int], most: int, least_rows: int) -> list[range]:
    """Group neighboring files into units of about equal work.

    Args:
        rows: Number of rows of each file, in order.
        most: Maximum number of units.
        least_rows: Minimum number of rows per unit, except the last: every unit has an overhead.

    Returns:
        The positions of each unit's files; together, they contain every file once, in order.
    """
    goal = max(least_rows, -(-sum(rows) // most), 1)
    # A file belongs to the unit that contains its first row; empty files at the end, to the last.
    befores = accumulate(rows[:-1], initial=0)
    unit_of_file = [min(before // goal, most - 1) for before in befores]
    starts = [i for i, unit in enumerate(unit_of_file) if i == 0 or unit != unit_of_file[i - 1]]
    return [range(start, end) for start, end in pairwise([*starts, len(rows)])]
