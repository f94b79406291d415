"""Rows of scored files that are scored again, many at a time, to compare their scores."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from imdb_classifier.batch.inputs.reader import CHUNK_BYTES
from imdb_classifier.scoring.row_reasons import reasons
from imdb_classifier.scoring.scorer import CHUNK_ROWS, Scorer

SCORE_TOLERANCE: Final = 1e-5
"""How far apart the scores of one text may be, on processors of different kinds."""


@dataclass(frozen=True)
class SaidRows:
    """Rows of a scored file, and what it says about them.

    Attributes:
        rows: int64, (rows,), their numbers in the file, ascending.
        texts: string, (rows,).
        probabilities: float32, (rows,), null without text.
        reasons: string, (rows,); None if the file has none.
        at_least: Confidence below which a row is unsure; None for none.
        found: Called with the first row whose score is another, and the first whose reason is;
            None for none. Not called before all rows that were added earlier are compared.
    """

    rows: NDArray[np.int64]
    texts: pa.Array
    probabilities: pa.Array
    reasons: pa.Array | None
    at_least: float | None
    found: Callable[[int | None, int | None], None]

    def compare(self, again: pa.Array, remarks: NDArray[np.int8]) -> None:
        """Compare what the file says with scores and remarks of today, (rows,) each."""
        new, old = (scores.to_numpy(zero_copy_only=False) for scores in (again, self.probabilities))
        far = ~np.isclose(new, old, rtol=0, atol=SCORE_TOLERANCE, equal_nan=True)
        misscored = int(self.rows[far][0]) if far.any() else None
        misreasoned = None
        if self.reasons is not None:
            why = reasons(remarks, self.probabilities, self.at_least)
            other = pc.fill_null(pc.not_equal(why, self.reasons), True)
            at = other.index(True).as_py()
            misreasoned = int(self.rows[at]) if at >= 0 else None
        self.found(misscored, misreasoned)


class RowsAgain:
    """Rows that wait to be scored together: a few of their own would take nearly as long."""

    def __init__(self, scorer: Scorer) -> None:
        self.scorer = scorer
        self._waiting: list[SaidRows] = []
        self._rows = self._bytes = 0

    def add(self, said: SaidRows) -> None:
        """Let rows wait, unless there are many, or they are long."""
        self._waiting.append(said)
        self._rows += len(said.rows)
        self._bytes += said.texts.nbytes
        if self._rows >= CHUNK_ROWS or self._bytes >= CHUNK_BYTES:
            self.score()

    def score(self) -> None:
        """Score all rows that wait."""
        waiting, self._waiting, self._rows, self._bytes = self._waiting, [], 0, 0
        pending = self.scorer.start(pa.chunked_array([said.texts for said in waiting], pa.string()))
        again, remarks = pending.result(), pending.remarks()
        begin = 0
        for said in waiting:
            end = begin + len(said.rows)
            said.compare(again.slice(begin, end - begin), remarks[begin:end])
            begin = end
