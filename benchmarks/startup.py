"""Start-up time of a fresh process: imports, and the first score."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.table import progress

YARDSTICK = "import numpy, pyarrow"
NO_BYTE_CODE = "PYTHONDONTWRITEBYTECODE"


def _command(*arguments: str) -> str:
    argv = ["imdb-classifier", *arguments]
    return f"""
import sys
sys.argv = {argv}
from imdb_classifier.cli import main
main()
"""


_SCORE = _command("score", "{source}", "{target}")
PROGRAMS = {
    "Python itself": "pass",
    YARDSTICK: YARDSTICK,
    "imdb-classifier --version": _command("--version"),
    "imdb-classifier --help": _command("--help"),
    "import imdb_classifier": "import imdb_classifier",
    "from imdb_classifier import score_dataframe": "from imdb_classifier import score_dataframe",
    "imdb-classifier score, one review": _SCORE,
    "the same without the extra `fast`": f"import sys; sys.modules['llvmlite'] = None{_SCORE}",
}


def measure(rounds: int) -> list[dict[str, str | float]]:
    """Return the median seconds of `rounds` fresh processes for each program, interleaved.

    Each is also compared with the import of the two libraries that scoring cannot do without. A
    round before the first writes the byte-code that an installed package comes with.
    """
    environment = {name: value for name, value in os.environ.items() if name != NO_BYTE_CODE}
    seconds: dict[str, list[float]] = {name: [] for name in PROGRAMS}
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "in.parquet", Path(folder) / "out.parquet"
        pq.write_table(pa.table({"text": ["A film to remember."]}), source)
        for turn in range(rounds + 1):
            for name, program in PROGRAMS.items():
                target.unlink(missing_ok=True)
                command = [sys.executable, "-c", program.format(source=source, target=target)]
                started = time.perf_counter()
                subprocess.run(command, check=True, capture_output=True, env=environment)
                if turn:
                    seconds[name].append(time.perf_counter() - started)
    found = [
        {
            "a fresh process": name,
            "seconds": round(median(values), 2),
            f"times `{YARDSTICK}`": round(median(values) / median(seconds[YARDSTICK]), 2),
        }
        for name, values in seconds.items()
    ]
    progress(startup=found)
    return found  # type: ignore[return-value]
