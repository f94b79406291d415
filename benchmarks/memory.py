"""Peak memory and speed of `imdb-classifier score` for inputs of several sizes."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.reviews import write_reviews
from benchmarks.table import progress


def measure(sizes: tuple[int, ...]) -> list[dict[str, float]]:
    """Score files with these numbers of rows, each in one row group and by a new process."""
    found = []
    for rows in sizes:
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder) / "reviews.parquet"
            write_reviews(source, rows)
            seconds, peak = _score(source, Path(folder) / "scored.parquet")
            found.append(
                {
                    "rows": rows,
                    "file, MB": round(source.stat().st_size / 1e6, 1),
                    "peak memory, MiB": round(peak / 2**20),
                    "seconds": round(seconds, 1),
                    "rows/s": round(rows / seconds),
                }
            )
            progress(**found[-1])
    return found


def _score(source: Path, target: Path) -> tuple[float, int]:
    """Score a file; return wall-clock seconds and peak resident bytes."""
    command = [sys.executable, "-m", "imdb_classifier", "score", str(source), str(target), "--json"]
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    if os.waitstatus_to_exitcode(status):
        raise SystemExit(f"scoring failed with exit code {os.waitstatus_to_exitcode(status)}")
    return seconds, usage.ru_maxrss * 1024
