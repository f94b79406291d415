"""Progress of long work: what a caller is told, and the pace in words."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta

Progress = Callable[[str, int, int], None]
"""Called with what is counted, in the plural, how many are done, and how many there are."""


def rate(per_second: float) -> str:
    """Return a rate in words, per minute if it is less than one a second."""
    return f"{per_second:,.0f} a second" if per_second >= 1 else f"{60 * per_second:.1f} a minute"


class Pace:
    """The rate of some work since the first call, and the time left at this rate.

    Resumed work does not start with 0.
    """

    def __init__(self) -> None:
        self._first: tuple[int, float] | None = None

    def words(self, done: int, total: int) -> str:
        """Return the pace, such as ``, 0:08:43 left, 7,193 a second``; empty as long as unknown.

        Args:
            done: How much of the total is done.
            total: How much there is to do.
        """
        now = time.monotonic()
        if self._first is None:
            self._first = done, now
        first, since = self._first
        if done == first or now == since:
            return ""
        per_second = (done - first) / (now - since)
        left = timedelta(seconds=round((total - done) / per_second))
        # Time left first: a card of Prefect's UI cuts long texts off.
        return f", {left} left, {rate(per_second)}" if done < total else f", {rate(per_second)}"
