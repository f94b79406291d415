"""Peak memory and speed of `imdb-classifier score` for inputs of several sizes."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.reviews import write_reviews
from benchmarks.table import progress

# What wait4 gives begins with the peak of the process that this one was started from.
_SCORE = """
import re
from pathlib import Path
from imdb_classifier.cli import main
try:
    main()
finally:
    print(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
"""


def measure(sizes: tuple[int, ...]) -> list[dict[str, float]]:
    """Score files with these numbers of rows, each in one row group and by a new process."""
    found = []
    for rows in sizes:
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder) / "reviews.parquet"
            write_reviews(source, rows)
            seconds, peak = score_in_a_process(source, Path(folder) / "scored.parquet")
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


def score_in_a_process(source: Path, target: Path) -> tuple[float, int]:
    """Score a file; return wall-clock seconds and peak resident bytes, as Linux has them."""
    command = [sys.executable, "-c", _SCORE, "score", str(source), str(target), "--json"]
    started = time.perf_counter()
    process = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    seconds = time.perf_counter() - started
    return seconds, int(process.stdout.splitlines()[-1]) * 1024
