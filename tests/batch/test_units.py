"""Files in units for other processes."""

from __future__ import annotations

from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from imdb_classifier.batch.inputs.discovery import DiscoveredFile
from imdb_classifier.batch.options import ScoreOptions
from imdb_classifier.batch.units import FileToScore, Unit, group_files


@given(st.lists(st.integers(0, 1_000)), st.integers(1, 64), st.integers(1, 2_000))
def test_units_hold_every_file_once_and_are_few(rows: list[int], most: int, least: int) -> None:
    units = group_files(rows, most, least)
    assert [position for unit in units for position in unit] == list(range(len(rows)))
    assert len(units) <= most


def test_units_are_about_equal() -> None:
    assert group_files([10] * 10, 3, 1) == [range(4), range(4, 7), range(7, 10)]
    assert group_files([10] * 4, 64, 20) == [range(2), range(2, 4)]
    assert group_files([0, 0, 5], 64, 1) == [range(3)]


def test_rows_are_counted_once_however_often_they_are_asked_for() -> None:
    """A run asks after each batch of rows."""

    class Counting(tuple[FileToScore, ...]):
        passes = 0

        def __iter__(self) -> Iterator[FileToScore]:
            Counting.passes += 1
            return super().__iter__()

    file = FileToScore(DiscoveredFile("in/", "a", "out/", "a"), 3, False)
    unit = Unit(Counting([file, file]), ScoreOptions())
    assert [unit.rows, unit.rows, Counting.passes] == [6, 6, 1]
