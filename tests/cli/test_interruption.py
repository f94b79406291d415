"""Runs that are stopped."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from imdb_classifier.registry.versions import bundled_path
from tests.waiting import wait_for

COMMAND = [sys.executable, "-m", "imdb_classifier"]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_run_that_is_stopped_says_what_it_keeps_and_leaves_nothing_else(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    (tmp_path / "in").mkdir()
    for name in range(9):
        texts = [f"A film like number {row} of {name}. " * 300 for row in range(300)]
        pq.write_table(pa.table({"text": texts}), tmp_path / "in" / f"{name}.parquet")
    output = tmp_path / "out"
    score = [*COMMAND, "score", "in", "out", "--model", str(bundled_path())]
    with subprocess.Popen(score, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process:
        wait_for("the first file", lambda: any(output.glob("*.parquet")))
        process.send_signal(number)
        _, shown = process.communicate()
    assert process.returncode == code
    assert shown.splitlines()[-1] == "Interrupted. Finished files are kept; rerun to continue."
    names = {path.name for path in output.iterdir()} - {"_MANIFEST.json"}
    assert names
    assert names <= {"_MANIFEST.json", *(f"{name}.parquet" for name in range(9))}
