"""Peak memory and speed of `imdb-classifier score` for inputs of several sizes."""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.command import run_command
from benchmarks.reviews import write_reviews
from benchmarks.table import progress


def measure(sizes: tuple[int, ...]) -> list[dict[str, float]]:
    """Score files with these numbers of rows, each in one row group and by a new process."""
    found = []
    for rows in sizes:
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder) / "reviews.parquet"
            write_reviews(source, rows)
            target = Path(folder) / "scored.parquet"
            seconds, peak = run_command("score", str(source), str(target), "--json")
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
