"""Scoring of several files at a time, in the threads of this process."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from queue import SimpleQueue
from threading import Event, Lock

from imdb_classifier.batch.inputs.file_names import QUARANTINE
from imdb_classifier.batch.outputs.quarantine import Quarantine
from imdb_classifier.batch.outputs.scored_file import score_file
from imdb_classifier.batch.results import FileResult, UnitResult
from imdb_classifier.batch.units import FileToScore, Unit
from imdb_classifier.errors import (
    BadDataError,
    CannotWriteError,
    ImdbClassifierError,
    NoInputError,
    first_line,
    printable,
)
from imdb_classifier.scoring.scorer import Scorer
from imdb_classifier.system_errors import known_error
from imdb_classifier.text.batch_profile import BatchProfile


def score_files(
    unit: Unit, scorer: Scorer, on_rows: Callable[[int], None] | None = None
) -> UnitResult:
    """Score the files of a unit, and return a result for each, whether it succeeded or failed.

    One more file than the scorer has threads is in progress at a time. This keeps every core busy
    even if files are small: each is scored by one thread and then flushed to disk.

    Args:
        unit: The files. When its deadline has passed or too many of its files have failed, outputs
            of files in progress stay unchanged.
        scorer: The model.
        on_rows: Called in the caller's thread with the number of rows done since the last call. If
            it raises, the outputs of files in progress stay unchanged.

    Raises:
        ImdbClassifierError: See `score_file`.
    """
    bad_files = count(1)
    progress: SimpleQueue[int | None] = SimpleQueue()
    stopped = Event()
    profile, adding = BatchProfile(), Lock()
    if unit.bad_files is not None and unit.bad_files < 0:
        stopped.set()

    def report(rows: int) -> None:
        if stopped.is_set() or (unit.ends_at is not None and time.time() >= unit.ends_at):
            raise _StoppedError
        progress.put(rows)

    def failed(file: FileToScore, error: ImdbClassifierError) -> FileResult:
        if unit.bad_files is not None and next(bad_files) > unit.bad_files:
            stopped.set()
        message = str(error)
        # Only faults of the input are quarantined, not those of the output.
        if unit.options.quarantine and isinstance(error, BadDataError | NoInputError):
            try:
                with Quarantine(file.file.quarantine, file.file.name) as listed:
                    listed.add_file(message)
            except (OSError, CannotWriteError) as fault:
                message += f" It could not be listed in {QUARANTINE}: {first_line(fault)}."
        return FileResult(
            file.file.name,
            "failed",
            output=printable(file.file.target) if file.replaces else None,
            error=message,
            exit_code=error.exit_code,
            may_pass=error.may_pass,
        )

    def score(file: FileToScore) -> FileResult:
        nonlocal profile
        try:
            report(0)
            result, of_file = score_file(file, scorer, unit.options, on_rows=report)
            with adding:
                profile += of_file
            return result
        except _StoppedError:
            return FileResult(file.file.name, "pending")
        except Exception as error:
            result = failed(file, known_error(error))
            if unit.raise_errors:
                raise
            return result
        finally:
            progress.put(None)

    with ThreadPoolExecutor(scorer.threads + 1, thread_name_prefix="file") as pool:
        try:
            begun = [pool.submit(score, file) for file in unit.files]
            for _ in begun:
                while (rows := progress.get()) is not None:
                    if on_rows is not None:
                        on_rows(rows)
            files = tuple(future.result() for future in begun)
        except BaseException:
            stopped.set()
            pool.shutdown(cancel_futures=True)
            raise
    return UnitResult(files, profile, scorer.bundle.engine.name)


class _StoppedError(Exception):
    """Ends the scoring of a file when the run stops."""
