"""Memory use depends on the settings, not on the size of the input."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from imdb_classifier.batch.dry_run import dry_run_parquet
from imdb_classifier.batch.options import ScoreOptions
from imdb_classifier.batch.run import score_parquet
from imdb_classifier.errors import UnreadableFileError
from imdb_classifier.model.bundle import Bundle, load_bundle
from imdb_classifier.registry.versions import bundled_path
from imdb_classifier.scoring.scorer import ScoredChunk, Scorer
from imdb_classifier.text.batch_profile import BatchProfile

FEW_ROWS, MANY_ROWS, GROUP_ROWS = 250_000, 4_000_000, 50_000
MEBIBYTE = 1 << 20
LONG = 300_000_000
TIMES_A_TEXT = 11
"""How much memory a text takes, in its own size, as docs/explanation/limits.md says."""
STATUS = Path("/proc/self/status")

pytestmark = pytest.mark.skipif(
    not STATUS.exists(), reason="peaks of memory are read as Linux has them"
)


def random_texts(rows: int, words: int) -> pa.Array:
    """Return texts that do not compress well, of so many words each."""
    vocabulary = pa.array([f"word{number:04}" for number in range(5_000)])
    drawn = np.random.default_rng(0).integers(5_000, size=rows * words)
    ends = pa.array(np.arange(0, rows * words + 1, words), pa.int32())
    return pc.binary_join(pa.ListArray.from_arrays(ends, vocabulary.take(pa.array(drawn))), " ")


def write(path: Path, rows: int, group_rows: int) -> None:
    """Write rows of one word in row groups of so many."""
    words = pa.array(["Good."]).dictionary_encode()
    with pq.ParquetWriter(path, pa.schema([("text", words.type)])) as writer:
        group = pa.table({"text": words.take(pa.array(np.zeros(group_rows, np.int32)))})
        for _ in range(rows // group_rows):
            writer.write_table(group, group_rows)


def long_texts(path: Path, rows: int = 20_000) -> None:
    """Write a small file of much text: 100 kB in each row, stored once in a dictionary."""
    text = pa.array(["A fine, slow film. " * 5_264]).dictionary_encode()
    texts = text.take(pa.array(np.zeros(rows, np.int32)))
    pq.write_table(pa.table({"text": texts}), path)
    assert path.stat().st_size < 200_000


def one_text(path: Path) -> None:
    """Write a text of 300 MB."""
    pq.write_table(pa.table({"text": random_texts(1, LONG // 9)}), path)


def wide_rows(path: Path) -> None:
    """Write rows of 100 kB beside short texts."""
    block = np.random.default_rng(0).bytes(100_000)
    schema = pa.schema([("text", pa.string()), ("wide", pa.binary())])
    with pq.ParquetWriter(path, schema, compression="zstd", use_dictionary=False) as writer:
        for _ in range(6):
            writer.write_table(pa.table([["Good."] * 1_000, [block] * 1_000], schema))


def many_columns(path: Path) -> None:
    """Write a table of 3,000 columns."""
    numbers = {f"n{column}": np.arange(500.0) for column in range(3_000)}
    pq.write_table(pa.table({**numbers, "text": ["Good."] * 500}), path)


def damaged_at_the_end(path: Path) -> None:
    """Write a large row group whose last page is damaged."""
    texts = [f"{'A fine, slow film. ' * 50} {row}" for row in range(200_000)]
    pq.write_table(
        pa.table({"text": texts}), path, compression="none", use_dictionary=False,
        write_page_checksum=True, row_group_size=len(texts),
    )  # fmt: skip
    chunk = pq.read_metadata(path).row_group(0).column(0)
    with path.open("r+b") as file:
        file.seek(chunk.data_page_offset + chunk.total_compressed_size - 100)
        file.write(bytes(10))


class QuickScorer(Scorer):
    """Gives any probability, so that millions of rows take seconds."""

    def _score_chunk(self, texts: pa.ChunkedArray | pa.Array) -> ScoredChunk:
        probabilities = np.random.default_rng(len(texts)).random(len(texts), np.float32)
        return pa.array(probabilities), BatchProfile(), np.zeros(len(texts), np.int8)


def score_in_a_process(
    bundle: str,
    source: str,
    output: str,
    options: ScoreOptions,
    kind: type[Scorer],
    memory: Connection,
) -> None:
    with kind(load_bundle(bundle), threads=2) as scorer:
        planned = dry_run_parquet(source, output, scorer, options).memory_bytes
        with suppress(UnreadableFileError):
            score_parquet(source, output, scorer, options)
    # What getrusage gives begins with the peak of the process that this one was forked from.
    (line,) = (line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM:"))
    memory.send((int(line.split()[1]) * 1024, planned))


def peak_and_plan(
    bundle: Bundle,
    source: Path,
    options: ScoreOptions | None = None,
    kind: type[Scorer] = Scorer,
) -> tuple[int, int]:
    """Score a file in a process of its own, and return its peak memory and the estimate."""
    processes = multiprocessing.get_context("spawn")
    receiving, sending = processes.Pipe(duplex=False)
    output = source.with_suffix(".out.parquet")
    options = options or ScoreOptions()
    arguments = (str(bundle.path), str(source), str(output), options, kind, sending)
    process = processes.Process(target=score_in_a_process, args=arguments)
    process.start()
    sending.close()  # so that nobody waits for what a dead process will not send
    peak, planned = receiving.recv()
    process.join()
    return peak, planned


def test_long_texts_take_little_memory_with_the_bundled_model(tmp_path: Path) -> None:
    # So many that everything that is read ahead is full.
    long_texts(tmp_path / "in.parquet", rows=1_500)
    peak, planned = peak_and_plan(load_bundle(bundled_path()), tmp_path / "in.parquet")
    assert peak < 750 * MEBIBYTE
    assert 1 / 1.5 < peak / planned < 1.5


def test_memory_grows_with_the_largest_row_group_and_not_with_the_rows(
    tiny_bundle: Bundle, tmp_path: Path
) -> None:
    found = {}
    for rows, group_rows in (
        (FEW_ROWS, GROUP_ROWS), (MANY_ROWS, GROUP_ROWS), (MANY_ROWS, MANY_ROWS)
    ):  # fmt: skip
        source = tmp_path / f"{rows}-{group_rows}.parquet"
        write(source, rows, group_rows)
        found[rows, group_rows] = peak_and_plan(tiny_bundle, source, kind=QuickScorer)
    few, _ = found[FEW_ROWS, GROUP_ROWS]
    many, planned = found[MANY_ROWS, GROUP_ROWS]
    assert many - few < 3 * MANY_ROWS
    assert 1 / 1.5 < many / planned < 1.25
    many, planned = found[MANY_ROWS, MANY_ROWS]
    assert 1 / 1.5 < many / planned < 1.25


@pytest.mark.parametrize(
    ("write_file", "most", "options"),
    [
        (long_texts, 900 * MEBIBYTE, ScoreOptions()),
        (one_text, 320 * MEBIBYTE + TIMES_A_TEXT * LONG, ScoreOptions()),
        (wide_rows, 500 * MEBIBYTE, ScoreOptions()),
        (wide_rows, 500 * MEBIBYTE, ScoreOptions(columns=["wide"])),
        (wide_rows, 900 * MEBIBYTE, ScoreOptions(on_null="skip")),
        (many_columns, 500 * MEBIBYTE, ScoreOptions()),
        (damaged_at_the_end, 600 * MEBIBYTE, ScoreOptions()),
    ],
    ids=lambda value: value.__name__ if callable(value) else None,
)
def test_memory_is_bounded_and_planned(
    tiny_bundle: Bundle,
    tmp_path: Path,
    write_file: Callable[[Path], None],
    most: int,
    options: ScoreOptions,
) -> None:
    write_file(tmp_path / "in.parquet")
    peak, planned = peak_and_plan(tiny_bundle, tmp_path / "in.parquet", options)
    assert peak < most
    assert 1 / 1.5 < peak / planned < 1.5
