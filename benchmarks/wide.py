"""Tables with much beside the text: the rate for 60 columns, and bytes copied per second."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.command import run_command
from benchmarks.reviews import reviews
from benchmarks.table import progress
from imdb_classifier.batch.run import score_parquet
from imdb_classifier.schema import TEXT
from imdb_classifier.scoring.scorer import Scorer

TEXT_ALONE, COLUMNS, WIDE, COPY = (
    "the text alone",
    "60 columns",
    "100 kB a row beside the text",
    "the same file, copied and flushed to disk",
)
WIDE_BYTES = 100_000


def measure(rounds: int, wide_rows: int = 10_000) -> dict[str, Any]:
    """Score tables in turn, `rounds` times, and copy the largest of them.

    Returns:
        tables (for each the medians, and the peak memory of a process that scores it); and the
        ratios of rates of_text_alone (60 columns) and of_copy (100 kB a row).
    """
    with tempfile.TemporaryDirectory() as folder, Scorer.load() as scorer:
        target = Path(folder) / "scored.parquet"
        sources = {name: Path(folder) / f"{name}.parquet" for name in (TEXT_ALONE, COLUMNS, WIDE)}
        _write_reviews(sources[TEXT_ALONE], columns=1)
        _write_reviews(sources[COLUMNS], columns=60)
        _write_wide(sources[WIDE], wide_rows)
        work: dict[str, Callable[[], object]] = {
            name: lambda source=source: score_parquet(source, target, scorer)  # type: ignore[misc]
            for name, source in sources.items()
        }
        work[COPY] = lambda: _copy(sources[WIDE], target)
        seconds: dict[str, list[float]] = {name: [] for name in work}
        for number in range(rounds + 1):
            for name, run in work.items():
                began = time.perf_counter()
                run()
                seconds[name].append(time.perf_counter() - began)
                target.unlink()
                progress(round=number, table=name, seconds=seconds[name][-1])
        # The first round is the warm-up.
        medians = {name: median(values[1:]) for name, values in seconds.items()}
        peaks = {}
        for name, source in sources.items():
            peaks[name] = run_command("score", str(source), str(target), "--json")[1]
            target.unlink()
        return {
            "tables": [
                {
                    "table": name,
                    "file, MB": round(size / 1e6, 1),
                    "seconds": round(medians[name], 2),
                    "MB/s": round(size / 1e6 / medians[name]),
                    "rows/s": round(rows / medians[name]),
                    "peak memory, MiB": round(peaks[name] / 2**20) if name in peaks else "",
                }
                for name in work
                for size, rows in [_size(sources.get(name, sources[WIDE]))]
            ],
            "of_text_alone": round(medians[TEXT_ALONE] / medians[COLUMNS], 3),
            "of_copy": round(medians[COPY] / medians[WIDE], 3),
        }


def _write_reviews(path: Path, columns: int) -> None:
    """Write the test split with numbers and short strings beside it, so many columns in all."""
    generator = np.random.default_rng(0)
    texts = reviews("test")[TEXT]
    others = {
        f"column{number}": pa.array(generator.random(len(texts)))
        if number % 2
        else pa.array(generator.integers(1_000_000, size=len(texts))).cast(pa.string())
        for number in range(columns - 1)
    }
    pq.write_table(pa.table({**others, TEXT: texts}), path, compression="zstd")


def _write_wide(path: Path, rows: int) -> None:
    """Write short texts beside bytes that do not compress, in row groups of 1,000 rows."""
    generator = np.random.default_rng(0)
    schema = pa.schema([(TEXT, pa.string()), ("wide", pa.binary())])
    with pq.ParquetWriter(path, schema, compression="none", use_dictionary=False) as writer:
        for _ in range(rows // 1_000):
            wide = [generator.bytes(WIDE_BYTES) for _ in range(1_000)]
            writer.write_table(pa.table([["A fine film."] * 1_000, wide], schema=schema))


def _copy(source: Path, target: Path) -> None:
    with source.open("rb") as reading, target.open("wb") as writing:
        shutil.copyfileobj(reading, writing, 1 << 22)
        writing.flush()
        os.fsync(writing.fileno())


def _size(path: Path) -> tuple[int, int]:
    return path.stat().st_size, pq.read_metadata(path).num_rows
