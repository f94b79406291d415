"""Files in units for other processes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from imdb_classifier.batch.units import group_files


@given(st.lists(st.integers(0, 1_000)), st.integers(1, 64), st.integers(1, 2_000))
def test_units_hold_every_file_once_and_are_few(rows: list[int], most: int, least: int) -> None:
    units = group_files(rows, most, least)
    assert [position for unit in units for position in unit] == list(range(len(rows)))
    assert len(units) <= most


def test_units_are_about_equal() -> None:
    assert group_files([10] * 10, 3, 1) == [range(4), range(4, 7), range(7, 10)]
    assert group_files([10] * 4, 64, 20) == [range(2), range(2, 4)]
    assert group_files([0, 0, 5], 64, 1) == [range(3)]
