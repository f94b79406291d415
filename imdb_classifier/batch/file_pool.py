"""Scoring of several files at a time, in the threads of this process."""

from __future__ import annotations

import logging
import time
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
    counted,
    first_line,
    printable,
)
from imdb_classifier.progress import Progress
from imdb_classifier.scoring.scorer import Scorer
from imdb_classifier.system_errors import known_error
from imdb_classifier.text.batch_profile import BatchProfile

logger = logging.getLogger(__name__)


def score_files(
    unit: Unit,
    scorer: Scorer,
    progress: Progress | None = None,
    cancel: Event | None = None,
) -> UnitResult:
    """Score the files of a unit, and return a result for each, whether it succeeded or failed.

    One more file than the scorer has threads is in progress at a time. This keeps every core busy
    even if files are small: each is scored by one thread and then flushed to disk.

    Args:
        unit: The files. When its deadline has passed or too many of its files have failed, outputs
            of files in progress stay unchanged.
        scorer: The model.
        progress: Called in the caller's thread after each batch of rows. If it raises, the outputs
            of files in progress stay unchanged.
        cancel: Ends the unit as its deadline does, once it is set.

    Raises:
        ImdbClassifierError: See `score_file`.
    """
    bad_files = count(1)
    reported: SimpleQueue[int | None] = SimpleQueue()
    stopped, cancel = Event(), cancel or Event()
    profile, adding = BatchProfile(), Lock()
    ended = [FileResult("", "pending")] * len(unit.files)
    waiting = enumerate(unit.files)
    if unit.bad_files is not None and unit.bad_files < 0:
        stopped.set()

    def report(rows: int) -> None:
        is_late = unit.ends_at is not None and time.time() >= unit.ends_at
        if is_late or stopped.is_set() or cancel.is_set():
            raise _StoppedError
        reported.put(rows)

    def failed(file: FileToScore, error: ImdbClassifierError) -> FileResult:
        if unit.bad_files is not None and next(bad_files) > unit.bad_files:
            stopped.set()
        message = str(error)
        logger.debug("%s: failed. %s", file.file.name, message)
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
            logger.debug("%s: %s scored", result.name, counted(result.rows, "row"))
            return result
        except _StoppedError:
            return FileResult(file.file.name, "pending")
        except Exception as error:
            result = failed(file, known_error(error))
            if unit.raise_errors:
                raise
            return result

    def score_waiting() -> None:
        # Each thread takes one file after another, because a future takes ten times the memory of a
        # result, and there may be a million files.
        try:
            for position, file in waiting:
                ended[position] = score(file)
        finally:
            reported.put(None)

    with ThreadPoolExecutor(scorer.threads + 1, thread_name_prefix="file") as pool:
        try:
            workers = [pool.submit(score_waiting) for _ in range(scorer.threads + 1)]
            done = 0
            for _ in workers:
                while (rows := reported.get()) is not None:
                    done += rows
                    if progress is not None:
                        progress("rows", done, unit.rows)
            for worker in workers:
                worker.result()
        except BaseException:
            stopped.set()
            raise
    return UnitResult(tuple(ended), profile, scorer.bundle.engine.name)


class _StoppedError(Exception):
    """Ends the scoring of a file when the run stops."""
