"""The speed of each part of scoring alone, and the limit set by the CPU.

``python -m benchmarks.parts`` reads and prints lines of JSON as `benchmarks.contenders` does.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

# One BLAS thread per thread of this program, as in the scorer.
os.environ |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from imdb_classifier.batch.inputs.reader import open_rows
from imdb_classifier.batch.outputs.appended_copy import WRITER_OPTIONS
from imdb_classifier.batch.parquet_footer.file_footer import FileFooter
from imdb_classifier.config import EncodingConfig
from imdb_classifier.model.bundle import Bundle
from imdb_classifier.registry.access import CHAMPION
from imdb_classifier.registry.versions import Registry
from imdb_classifier.schema import TEXT
from imdb_classifier.scoring.cores import available_cores
from imdb_classifier.scoring.scorer import CHUNK_ROWS
from imdb_classifier.text.batching import tokens_read
from imdb_classifier.text.encoding import TokenSequences, encode

FORMS = ("keras", "normal")
MATRIX_ROWS = (16, 32, 64, 128, 256, 512)
MATRIX_SECONDS = 0.3


class Parts:
    """The parts read, encode, network, LSTM and write with the bundled model, each on all cores.

    Texts are also encoded in each form that a recipe may choose.
    """

    def __init__(self) -> None:
        self._bundle = Registry.at().load(CHAMPION)
        self._lstm = self._bundle.without_ngrams()
        self._cores = available_cores()
        self.remark = f"{self._bundle.engine.name} engine"

    def measure(self, source: str, target: str) -> dict[str, float]:
        """Return seconds for each part, and reviews per second at the limit of the CPU."""
        seconds: dict[str, float] = {}

        def timed(part: str, work: Callable[[], Any]) -> Any:
            started = time.perf_counter()
            result = work()
            seconds[part] = time.perf_counter() - started
            return result

        table = timed("read", lambda: self._read(source))
        encoding = self._bundle.recipe.encoding
        chunks = timed("encode", lambda: self._encode(table, encoding))
        for form in FORMS:
            timed(f"encode_{form}", partial(self._encode, table, replace(encoding, text_form=form)))
        timed("network", lambda: self._network(self._bundle, chunks))
        timed("LSTM", lambda: self._network(self._lstm, chunks))
        timed("write", lambda: self._write(table, target))
        network = self._bundle.recipe.network
        tokens = sum(len(tokens_read(network, chunk).ids) for chunk in chunks)
        return seconds | self._limit(tokens / len(table))

    def _read(self, source: str) -> pa.Table:
        with open_rows(source, FileFooter.read(source)) as reader:
            return pa.table({TEXT: pa.chunked_array(c.texts for c in reader.chunks([TEXT]))})

    def _encode(self, table: pa.Table, encoding: EncodingConfig) -> list[TokenSequences]:
        texts = table[TEXT]
        chunks = [texts.slice(start, CHUNK_ROWS) for start in range(0, len(texts), CHUNK_ROWS)]
        vocabulary = self._bundle.vocabulary
        with ThreadPoolExecutor(self._cores) as pool:
            return list(pool.map(lambda chunk: encode(chunk, vocabulary, encoding), chunks))

    def _network(self, bundle: Bundle, chunks: list[TokenSequences]) -> None:
        with ThreadPoolExecutor(self._cores) as pool:
            list(pool.map(bundle.engine.probabilities, chunks))

    def _write(self, table: pa.Table, target: str) -> None:
        pq.write_table(table, target, **WRITER_OPTIONS)
        Path(target).unlink()

    def _limit(self, tokens: float) -> dict[str, float]:
        """Return how fast the recurrence would run at this machine's best rate of matrix products.

        A step of an LSTM multiplies a state of `units` by the weights of four gates.
        """
        network = self._bundle.recipe.network
        units, directions = network.lstm_units, 2 if network.ngrams else 1
        with ThreadPoolExecutor(self._cores) as pool:
            rates = [
                sum(pool.map(lambda _, rows=rows: _matrix_rate(rows, units), range(self._cores)))
                for rows in MATRIX_ROWS
            ]
        operations = tokens * directions * 2 * units * 4 * units
        return {"matrix_gflops": max(rates) / 1e9, "limit": max(rates) / operations}


def _matrix_rate(rows: int, units: int) -> float:
    """Return FLOP/s of multiplying (rows, units) by (units, 4 * units) on one thread."""
    state, weights = np.ones((rows, units), np.float32), np.ones((units, 4 * units), np.float32)
    gates = state @ weights
    started, products = time.perf_counter(), 0
    while time.perf_counter() - started < MATRIX_SECONDS:
        for _ in range(20):
            np.dot(state, weights, out=gates)
        products += 20
    return products * 2 * rows * units * 4 * units / (time.perf_counter() - started)


def main() -> None:
    """Measure the files named on standard input until it ends."""
    parts = Parts()
    print(json.dumps({"remark": parts.remark}), flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        print(json.dumps(parts.measure(order["source"], order["target"])), flush=True)


if __name__ == "__main__":
    main()
