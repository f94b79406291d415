"""Memory use depends on the settings, not on the size of the input."""

from __future__ import annotations

import multiprocessing
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from imdb_classifier.batch.run import score_parquet
from imdb_classifier.model.bundle import Bundle, load_bundle
from imdb_classifier.scoring.scorer import Scorer

SMALL, TIMES = 40_000, 20
STATUS = Path("/proc/self/status")


def write(path: Path, rows: int) -> int:
    """Write one row group of texts that do not compress well; return their size in bytes."""
    generator = np.random.default_rng(0)
    with pq.ParquetWriter(path, pa.schema([("text", pa.string())])) as writer:
        words = pa.array([f"word{number}" for number in range(5_000)])
        taken = words.take(pa.array(generator.integers(5_000, size=50 * rows)))
        lists = pa.ListArray.from_arrays(
            pa.array(np.arange(0, 50 * rows + 1, 50), pa.int32()), taken
        )
        texts = pc.binary_join(lists, " ")
        writer.write_table(pa.table({"text": texts}), row_group_size=rows)
    return int(texts.nbytes)


def score_in_a_process(bundle: str, source: str, output: str, peak: Connection) -> None:
    with Scorer(load_bundle(bundle), threads=2) as scorer:
        score_parquet(source, output, scorer)
    # What getrusage gives begins with the peak of the process that this one was forked from.
    (line,) = (line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM:"))
    peak.send(int(line.split()[1]) * 1024)


@pytest.mark.skipif(not STATUS.exists(), reason="peaks of memory are read as Linux has them")
def test_a_file_twenty_times_as_large_takes_no_more_memory(
    tiny_bundle: Bundle, tmp_path: Path
) -> None:
    processes = multiprocessing.get_context("spawn")
    sizes, peaks = [], []
    for rows in (SMALL, TIMES * SMALL):
        source = tmp_path / f"{rows}.parquet"
        sizes.append(write(source, rows))
        receiving, sending = processes.Pipe(duplex=False)
        arguments = (
            str(tiny_bundle.path),
            str(source),
            str(tmp_path / f"out{rows}.parquet"),
            sending,
        )
        process = processes.Process(target=score_in_a_process, args=arguments)
        process.start()
        sending.close()  # so that nobody waits for what a dead process will not send
        peaks.append(receiving.recv())
        process.join()
    assert peaks[1] - peaks[0] < (sizes[1] - sizes[0]) / 4
