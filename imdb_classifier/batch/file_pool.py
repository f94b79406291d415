"""Scoring of several files at a time, in the threads of this process."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from queue import SimpleQueue
from threading import Event

from imdb_classifier.batch.inputs.discovery import DiscoveredFile
from imdb_classifier.batch.inputs.file_names import QUARANTINE
from imdb_classifier.batch.options import ScoreOptions, Selection
from imdb_classifier.batch.outputs.quarantine import Quarantine
from imdb_classifier.batch.outputs.scored_file import score_file
from imdb_classifier.batch.results import FileResult
from imdb_classifier.errors import (
    BadDataError,
    CannotWriteError,
    ImdbClassifierError,
    NoInputError,
    UnexpectedError,
    first_line,
)
from imdb_classifier.scoring.scorer import Scorer


def score_files(
    files: Sequence[DiscoveredFile],
    scorer: Scorer,
    options: ScoreOptions,
    selection: Selection,
    *,
    ends_at: float | None = None,
    max_bad_files: int | None = None,
    on_rows: Callable[[int], None] | None = None,
    raise_errors: bool = False,
) -> list[FileResult]:
    """Score files, and return a result for each, whether it succeeded or failed.

    One more file than the scorer has threads is in progress at a time. This keeps every core busy
    even if files are small: each is scored by one thread and then flushed to disk.

    Args:
        files: The files.
        scorer: The model.
        options: Columns, and rows without text.
        selection: Which of them are scored, depending on the outputs that exist already.
        ends_at: When to stop, in seconds since 1970. Outputs of files in progress stay unchanged.
        max_bad_files: Stop once more files than this have failed.
        on_rows: Called in the caller's thread with the number of rows done since the last call. If
            it raises, the outputs of files in progress stay unchanged.
        raise_errors: Raise a file's error instead of returning it.

    Raises:
        ImdbClassifierError: See `score_file`.
    """
    bad_files = count(1)
    progress: SimpleQueue[int | None] = SimpleQueue()
    stopped = Event()

    def report(rows: int) -> None:
        if stopped.is_set() or (ends_at is not None and time.time() >= ends_at):
            raise _StoppedError
        progress.put(rows)

    def failed(file: DiscoveredFile, error: ImdbClassifierError) -> FileResult:
        if max_bad_files is not None and next(bad_files) > max_bad_files:
            stopped.set()
        message = str(error)
        # Only faults of the input are quarantined, not those of the output.
        if options.quarantine and isinstance(error, BadDataError | NoInputError):
            try:
                with Quarantine(file.quarantine, file.name) as listed:
                    listed.add_file(message)
            except (OSError, CannotWriteError) as fault:
                message += f" It could not be listed in {QUARANTINE}: {first_line(fault)}."
        return FileResult(file.name, "failed", error=message, exit_code=error.exit_code)

    def score(file: DiscoveredFile) -> FileResult:
        try:
            report(0)
            return score_file(file, scorer, options, selection, on_rows=report)
        except _StoppedError:
            return FileResult(file.name, "pending")
        except Exception as error:
            if raise_errors:
                raise
            if not isinstance(error, ImdbClassifierError):
                error = UnexpectedError(error)
            return failed(file, error)
        finally:
            progress.put(None)

    with ThreadPoolExecutor(scorer.threads + 1, thread_name_prefix="file") as pool:
        try:
            results = [pool.submit(score, file) for file in files]
            for _ in files:
                while (rows := progress.get()) is not None:
                    if on_rows is not None:
                        on_rows(rows)
            return [result.result() for result in results]
        except BaseException:
            stopped.set()
            pool.shutdown(cancel_futures=True)
            raise


class _StoppedError(Exception):
    """Ends the scoring of a file when the run stops."""
