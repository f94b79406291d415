"""Comparison of all contenders in one run, from Parquet file to Parquet file.

All contenders are loaded first, each in its own process. Then they score the same file in turn, one
at a time, once to warm up and then several times. Figures are medians and ratios of medians.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from benchmarks.contenders import CONTENDERS
from benchmarks.reviews import is_real, reviews
from benchmarks.table import progress
from imdb_classifier.schema import LABEL, POSITIVE, TEXT

TUTORIAL, OURS = "tutorial", "ours"


def measure(rounds: int) -> dict[str, Any]:
    """Score 25,000 reviews with every contender, `rounds` times.

    Returns:
        text, rows and rounds; contenders (name, remark, seconds of each round, reviews_per_second,
        times_the_tutorial, accuracy); parts and limit (reviews per second); matrix_gflops; the
        shares lstm_of_limit and ours_of_network; ours_busy_cores; and normal_form_times_keras,
        how many times as long as in Keras' form it takes to encode texts in their normal form.
    """
    table = reviews("test")
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "reviews.parquet"
        pq.write_table(table.select([TEXT]), source, compression="zstd")
        waiting = {name: _Process("benchmarks.contenders", name) for name in CONTENDERS}
        parts = _Process("benchmarks.parts")
        answers: dict[str, list[dict[str, float]]] = {name: [] for name in CONTENDERS}
        of_parts, accuracy = [], {}
        target = Path(folder) / "scored.parquet"
        for number in range(rounds + 1):
            for name, process in waiting.items():
                answers[name].append(process.order(source, target))
                progress(round=number, contender=name, **answers[name][-1])
                accuracy[name] = _accuracy(target, table[LABEL].to_numpy())
                target.unlink()
            of_parts.append(parts.order(source, target))
            progress(round=number, **of_parts[-1])
        for process in (*waiting.values(), parts):
            process.stop()

    for figures in (*answers.values(), of_parts):
        del figures[0]  # the warm-up
    rate = {
        name: len(table) / median(answer["seconds"] for answer in given)
        for name, given in answers.items()
    }
    part = {name: median(answer[name] for answer in of_parts) for name in of_parts[0]}
    network = len(table) / part["network"]
    return {
        "text": "IMDB test split" if is_real() else "generated text",
        "rows": len(table),
        "rounds": rounds,
        "contenders": [
            {
                "name": name,
                "remark": waiting[name].remark,
                "seconds": [round(answer["seconds"], 3) for answer in answers[name]],
                "reviews_per_second": round(rate[name]),
                "times_the_tutorial": round(rate[name] / rate[TUTORIAL], 2),
                "accuracy": round(accuracy[name], 4) if is_real() else None,
            }
            for name in CONTENDERS
        ],
        "parts": {
            name: round(len(table) / part[name])
            for name in ("read", "encode", "network", "LSTM", "write")
        },
        "matrix_gflops": round(part["matrix_gflops"], 1),
        "limit": round(part["limit"]),
        "lstm_of_limit": round(len(table) / part["LSTM"] / part["limit"], 3),
        "ours_of_network": round(rate[OURS] / network, 3),
        "normal_form_times_keras": round(part["encode_normal"] / part["encode_keras"], 2),
        "ours_busy_cores": round(median(answer["busy_cores"] for answer in answers[OURS]), 2),
    }


class _Process:
    """The process of a contender or of the parts, which waits for files to score."""

    def __init__(self, *module: str) -> None:
        # A file, because the process would block on a pipe that nobody reads.
        self._messages = tempfile.TemporaryFile("w+")  # noqa: SIM115  # as long as the process
        self._process = subprocess.Popen(
            [sys.executable, "-m", *module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._messages,
            text=True,
        )
        self.remark = str(self._answer()["remark"])
        progress(ready=module[-1], remark=self.remark)

    def order(self, source: Path, target: Path) -> dict[str, float]:
        """Have a file scored, and return the measured figures."""
        assert self._process.stdin is not None
        print(
            json.dumps({"source": str(source), "target": str(target)}),
            file=self._process.stdin,
            flush=True,
        )
        return self._answer()

    def stop(self) -> None:
        """End the process by closing its standard input, and wait for it."""
        self._process.communicate()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._messages.seek(0)
            raise SystemExit(self._messages.read())
        answer: dict[str, Any] = json.loads(line)
        return answer


def _accuracy(target: Path, labels: NDArray[np.int8]) -> float:
    scored = pq.read_table(target)
    is_positive = np.array(scored["sentiment_label"].to_pylist()) == POSITIVE
    return float((is_positive == (labels == 1)).mean())
