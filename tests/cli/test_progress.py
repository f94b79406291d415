"""What commands say while they work, and when they are interrupted."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Any

import pyarrow.parquet as pq
import pytest

from imdb_classifier.batch import file_pool
from imdb_classifier.batch.outputs.scored_file import score_file
from imdb_classifier.cli.commands import batch_commands
from imdb_classifier.cli.console import cancel_on_interrupt
from imdb_classifier.progress import Pace, Progress
from imdb_classifier.samples import FOLDER
from tests.command_line import Run, write_reviews
from tests.waiting import PATIENCE_SECONDS


@pytest.fixture(autouse=True)
def own_handler() -> Iterator[None]:
    """The handler of a new process: a Spark session leaves its own in the one of the tests."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 0.0, 10.0, 20.0, 3_600.0])
    monkeypatch.setattr("imdb_classifier.progress.time.monotonic", lambda: next(clock))
    pace = Pace()
    # Resumed work does not start with 0.
    assert [pace.words(done, 2_060) for done in (1_000, 1_001, 1_050, 1_060, 2_060)] == [
        "",
        "",
        ", 0:03:22 left, 5 a second",
        ", 0:05:33 left, 3 a second",
        ", 17.7 a minute",
    ]


def test_where_there_is_no_terminal_there_is_a_line_now_and_then(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert " rows" not in run("score", FOLDER, tmp_path / "short").err
    monkeypatch.setattr("imdb_classifier.cli.console.LINE_SECONDS", 0.0)
    outcome = run("score", FOLDER, tmp_path / "long", "--json")
    lines = [line for line in outcome.err.splitlines() if " of 264 rows" in line]
    assert lines[0] == "0 of 264 rows"
    assert lines[-1].startswith("264 of 264 rows, ")
    assert lines[-1].endswith((" a second", " a minute"))
    assert outcome.json["totals"]["rows"] == 264


def test_a_dry_run_and_verify_show_how_many_files_are_left(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "abc":
        write_reviews(tmp_path / "in" / f"{name}.parquet", ["A fine film."])
    assert run("score", tmp_path / "in", tmp_path / "out").code == 0
    commands = [("plan", tmp_path / "in", tmp_path / "out"), ("verify", tmp_path / "out")]
    for command in commands:
        assert " of 3 files" not in run(*command).err
    monkeypatch.setattr("imdb_classifier.cli.console.LINE_SECONDS", 0.0)
    for command in commands:
        outcome = run(*command, "--json")
        assert outcome.code == 0
        lines = [line for line in outcome.err.splitlines() if " of 3 files" in line]
        assert lines[0] == "0 of 3 files"
        # Files of few rows are verified together.
        shown = (1, 2, 3) if command[0] == "plan" else (3,)
        assert [line.partition(",")[0] for line in lines[1:]] == [
            f"{done} of 3 files" for done in shown
        ]
        assert lines[-1].endswith((" a second", " a minute"))


@pytest.mark.covers("--quiet", "--verbose")
def test_how_much_is_said(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imdb_classifier.cli.console.LINE_SECONDS", 0.0)
    write_reviews(tmp_path / "in.parquet", ["A fine film."])
    limits = [f"{name}=9" for name in ("lengths", "scores", "unknown_words", "positive")]
    options = [part for limit in limits for part in ("--drift-limit", limit)]

    def said(*more: str) -> str:
        target = tmp_path / "out.parquet"
        outcome = run("score", tmp_path / "in.parquet", target, "--force", *options, *more)
        assert outcome.code == 0
        assert "1 row in 1 file scored" in outcome.out
        return outcome.err

    assert "0 of 1 rows\n" in said()
    assert said("--quiet") == said("-q") == ""
    for verbose in ("--verbose", "-v"):
        assert "in.parquet: 1 row scored\n" in said(verbose)


def test_the_library_prints_nothing(tmp_path: Path) -> None:
    write_reviews(tmp_path / "in" / "a.parquet", ["A fine film."])
    (tmp_path / "in" / "b.parquet").write_bytes(b"no parquet")
    program = (
        "import logging\n"
        "from imdb_classifier import score_parquet\n"
        "logging.getLogger('imdb_classifier.batch').warning('a warning')\n"
        "assert score_parquet('in', 'out').exit_code == 75\n"
    )
    command = [sys.executable, "-c", program]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


@pytest.mark.parametrize("source", ["in", "in/b.parquet"], ids=["folder", "file"])
def test_ctrl_c_keeps_finished_files_and_says_so(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    for name in "abcdefgh":
        write_reviews(tmp_path / "in" / f"{name}.parquet", ["A fine film."])
    first_is_there, interrupted = tmp_path / "out" / "a.parquet", Event()

    def waits(planned: Any, *arguments: Any, on_rows: Any) -> Any:
        def report(rows: int) -> None:
            on_rows(rows)
            assert interrupted.wait(PATIENCE_SECONDS)
            on_rows(0)

        is_first = planned.file.name == "a.parquet"
        return score_file(planned, *arguments, on_rows=on_rows if is_first else report)

    @contextmanager
    def progress() -> Iterator[Progress]:
        def show(*_: object) -> None:
            # What is told next comes from files that begin when the first one has ended.
            is_time = source != "in" or first_is_there.exists()
            if is_time and not interrupted.is_set():
                signal.raise_signal(signal.SIGINT)
                interrupted.set()

        yield show

    monkeypatch.setattr(file_pool, "score_file", waits)
    monkeypatch.setattr(batch_commands, "stage_progress", progress)
    command = ("score", tmp_path / source, tmp_path / "out", "--threads", "1", "--json")
    outcome = run(*command)
    assert outcome.code == 130
    statuses = {file["name"]: file["status"] for file in outcome.json["files"]}
    finished = {"a.parquet"} if source == "in" else set()
    assert {name for name, status in statuses.items() if status == "scored"} == finished
    assert " pending. Rerun to continue.\n" in outcome.err
    assert outcome.err.endswith("Interrupted. Finished files are kept; rerun to continue.\n")
    assert {path.name for path in tmp_path.rglob("out/*.parquet*")} == finished
    monkeypatch.undo()
    monkeypatch.setenv("IMDB_CLASSIFIER_REGISTRY", str(tmp_path / "registry"))
    assert run(*command).code == 0
    assert pq.read_table(tmp_path / "out").num_rows == (8 if source == "in" else 1)


def test_a_second_ctrl_c_interrupts_at_once() -> None:
    def twice() -> None:
        with cancel_on_interrupt() as cancel:
            signal.raise_signal(signal.SIGINT)
            assert cancel.is_set()
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        twice()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_where_ctrl_c_is_ignored_it_stays_so() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with cancel_on_interrupt() as cancel:
            signal.raise_signal(signal.SIGINT)
            assert not cancel.is_set()
    finally:
        signal.signal(signal.SIGINT, before)
