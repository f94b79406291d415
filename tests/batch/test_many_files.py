"""Memory for each file of a run over very many files, without that of the files under way."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from imdb_classifier.batch import assessment, file_pool
from imdb_classifier.batch.inputs.discovery import DiscoveredFile
from imdb_classifier.batch.options import ScoreOptions
from imdb_classifier.batch.results import FileResult
from imdb_classifier.batch.run import score_parquet
from imdb_classifier.batch.units import FileToScore, Unit
from imdb_classifier.batch.verification import verify_output
from imdb_classifier.scoring.scorer import Scorer
from imdb_classifier.text.batch_profile import BatchProfile

FEW, MANY = 300, 1_000
MOST_BYTES = 1_700
"""For each file; with short names of folders, half of it is needed."""


def peak(work: Callable[[], object]) -> int:
    """Return the peak of Python's memory while something is done, in bytes."""
    gc.collect()
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def scored_copies(folder: Path, scorer: Scorer, files: int) -> tuple[str, str]:
    """Write equal files and their outputs, but no manifest."""
    source, output = folder / f"in{files}", folder / f"out{files}"
    source.mkdir()
    pq.write_table(pa.table({"text": ["Fine.", None]}), source / "0.parquet")
    score_parquet(source / "0.parquet", output, scorer)
    for place in (source, output):
        content = (place / "0.parquet").read_bytes()
        for number in range(1, files):
            (place / f"{number}.parquet").write_bytes(content)
    return str(source), str(output)


def test_files_that_wait_take_no_memory(scorer: Scorer, monkeypatch: pytest.MonkeyPatch) -> None:
    def quick(file: FileToScore, *_: object, **__: object) -> tuple[FileResult, BatchProfile]:
        return FileResult(file.file.name, "scored", rows=1), BatchProfile()

    monkeypatch.setattr(file_pool, "score_file", quick)
    found = (DiscoveredFile("in/", f"{number}.parquet", "out/", "") for number in range(3_000))
    unit = Unit(tuple(FileToScore(file, 1, False) for file in found), ScoreOptions())
    results = []
    peak_bytes = peak(lambda: results.append(file_pool.score_files(unit, scorer)))
    assert [file.name for file in results[0].files] == [file.file.name for file in unit.files]
    assert peak_bytes / len(unit.files) < 500


def test_no_step_takes_much_memory_for_each_file(
    tmp_path: Path, scorer: Scorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Footers that are read at the same time are few, beside the files of a large run.
    monkeypatch.setattr(assessment, "_FILES_AT_ONCE", 2)
    peaks = {}
    for files in (FEW, MANY):
        source, output = scored_copies(tmp_path, scorer, files)
        peaks[files] = {
            "first run": peak(lambda: score_parquet(source, output, scorer)),  # noqa: B023
            "second run": peak(lambda: score_parquet(source, output, scorer)),  # noqa: B023
            "verify": peak(lambda: verify_output(output, scorer)),  # noqa: B023
        }
    each = {step: (peaks[MANY][step] - peaks[FEW][step]) / (MANY - FEW) for step in peaks[FEW]}
    assert {step: size for step, size in each.items() if size > MOST_BYTES} == {}
