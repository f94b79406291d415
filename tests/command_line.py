"""Helpers for tests that run the command line in this process."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from imdb_classifier.samples import FOLDER

SAMPLE: Final = FOLDER / "test-00000-of-00001.parquet"
CANARY: Final = "xylophone canary of a review"
"""Planted in a review to check that no review text is shown."""


class Outcome(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Run = Callable[..., Outcome]


def write_reviews(path: Path, texts: Sequence[str | None], column: str = "text") -> None:
    path.parent.mkdir(exist_ok=True)
    pq.write_table(pa.table({column: pa.array(texts, pa.string())}), path)
