"""Standard output and error that are full or closed, and memory that is short."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

COMMAND = [sys.executable, "-m", "imdb_classifier"]
FULL = Path("/dev/full")
needs_full_device = pytest.mark.skipif(not FULL.exists(), reason="there is no /dev/full")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IMDB_CLASSIFIER_REGISTRY", str(tmp_path / "none"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
    pq.write_table(pa.table({"text": ["A fine film.", None]}), "in.parquet")
    return tmp_path


@needs_full_device
@pytest.mark.parametrize("command", ["data", "data --json", "--version", "--help", "score --help"])
def test_a_full_device_as_output_is_named(command: str) -> None:
    with FULL.open("w") as device:
        ran = subprocess.run(
            [*COMMAND, *command.split()], stdout=device, stderr=subprocess.PIPE, text=True
        )
    assert ran.returncode == 73
    assert ran.stderr.startswith("Error: ")
    assert "No space left on device" in ran.stderr
    assert "standard output elsewhere" in ran.stderr
    assert ran.stderr.count("\n") == 1


@needs_full_device
def test_work_goes_on_where_standard_error_is_full(folder: Path) -> None:
    with FULL.open("w") as device:
        for source, code in (("in.parquet", 0), ("missing.parquet", 66)):
            command = [*COMMAND, "-v", "score", source, "out.parquet"]
            assert subprocess.run(command, stdout=subprocess.PIPE, stderr=device).returncode == code
    assert pq.read_table("out.parquet")["sentiment_label"].to_pylist() == ["positive", None]


@pytest.mark.parametrize("arguments", ["--version", "--help", "-v score in.parquet out.parquet"])
def test_output_may_be_closed(arguments: str) -> None:
    closed = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh"]
    assert subprocess.run([*closed, *COMMAND, *arguments.split()]).returncode == 0


def test_a_reader_that_stops_reading_ends_the_program() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as pipe:
        for command in ("--version", "--help", "data"):
            ran = subprocess.run(
                [*COMMAND, command], stdout=pipe, stderr=subprocess.PIPE, text=True
            )
            assert (ran.returncode, ran.stderr) == (1, "")


@pytest.mark.parametrize("kibibytes", [100_000, 250_000, 300_000, 350_000])
def test_short_memory_is_named(folder: Path, kibibytes: int) -> None:
    limited = ["sh", "-c", 'ulimit -v "$0" && exec "$@"', str(kibibytes)]
    ran = subprocess.run(
        [*limited, *COMMAND, "score", "in.parquet", "out.parquet"],
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    if ran.stderr.startswith("OpenBLAS error"):
        pytest.skip("the library ends the process by itself")
    assert ran.returncode == 69, ran.stderr
    assert "Error: There must be enough memory." in ran.stderr
    assert "Traceback" not in ran.stderr
    assert not (folder / "out.parquet").exists()
