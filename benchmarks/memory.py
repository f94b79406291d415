"""Peak memory and rate of `imdb-classifier score` against the size of its input.

Run it with ``python -m benchmarks.memory``; every size is scored by a process of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.reviews import write_reviews

SIZES = (1_000, 10_000, 100_000, 1_000_000)


def main(sizes: tuple[int, ...] = SIZES) -> None:
    """Measure each size and print JSON, then a Markdown table."""
    rows = []
    for size in sizes:
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder) / "reviews.parquet"
            kind = write_reviews(source, size)
            seconds, peak = _score(source, Path(folder) / "scored.parquet")
            rows.append(
                {
                    "rows": size,
                    "input_mb": round(source.stat().st_size / 1e6, 1),
                    "peak_mib": round(peak / 2**20),
                    "seconds": round(seconds, 2),
                    "rows_per_second": round(size / seconds),
                }
            )
            print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    print(json.dumps({"text": kind, "cores": os.cpu_count(), "sizes": rows}, indent=2))
    print("\n| rows | file, MB | peak memory, MiB | seconds | rows/s |\n|---:|---:|---:|---:|---:|")
    for row in rows:
        print("| " + " | ".join(f"{value:,}" for value in row.values()) + " |")


def _score(source: Path, target: Path) -> tuple[float, int]:
    """Wall-clock seconds and peak resident bytes of scoring a file."""
    command = [sys.executable, "-m", "imdb_classifier", "score", str(source), str(target), "--json"]
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    if os.waitstatus_to_exitcode(status):
        raise SystemExit(f"scoring failed with exit code {os.waitstatus_to_exitcode(status)}")
    return seconds, usage.ru_maxrss * 1024


if __name__ == "__main__":
    main(tuple(int(size) for size in sys.argv[1:]) or SIZES)
