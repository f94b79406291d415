"""Many Parquet files, scored with one model and committed together."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from itertools import count
from queue import SimpleQueue
from threading import Event
from typing import Any, Self

from imdb_classifier.batch.discovery import QUARANTINE, PlannedFile, plan_files
from imdb_classifier.batch.outputs.drift_report import report_drift
from imdb_classifier.batch.outputs.provenance import Selection, read_metadata
from imdb_classifier.batch.outputs.publication import declare, withdraw
from imdb_classifier.batch.outputs.quarantine import Quarantine
from imdb_classifier.batch.outputs.scored_file import COUNTS, FileResult, ScoreOptions, score_file
from imdb_classifier.batch.wording import cannot_write
from imdb_classifier.errors import (
    EXIT_DONE,
    EXIT_PARTIAL,
    BadDataError,
    ConfigurationError,
    ImdbClassifierError,
    NoInputError,
    UnforeseenError,
    UnreadableFileError,
    first_line,
)
from imdb_classifier.monitoring.drift import Drift, DriftLimits
from imdb_classifier.registry.versions import CHAMPION, Registry
from imdb_classifier.scoring.scorer import Scorer, scorer_for
from imdb_classifier.storage import storage_of
from imdb_classifier.storage.paths import StrPath, to_str


@dataclass(frozen=True)
class RunResult:
    """What a whole run did.

    Attributes:
        model_id: The one model that scored all of it.
        files: One result a file, in the order of their names.
        drift: How far the batch is from the model's reference; None where not all of it is done, or
            where the model has none.
    """

    model_id: str
    files: tuple[FileResult, ...]
    drift: Drift | None = None

    @property
    def failed(self) -> tuple[FileResult, ...]:
        """The files that could not be scored."""
        return tuple(file for file in self.files if file.status == "failed")

    @property
    def left(self) -> tuple[FileResult, ...]:
        """The files that are left for another run."""
        return tuple(file for file in self.files if file.status == "left")

    @property
    def exit_code(self) -> int:
        """0 when all is done; a failed file's own code when all failed; else 75."""
        if len(self.failed) == len(self.files) > 0:
            return self.failed[0].exit_code
        return EXIT_PARTIAL if self.failed or self.left else EXIT_DONE

    def totals(self) -> dict[str, int]:
        """Files and rows in all."""
        return {
            "files": len(self.files),
            "failed": len(self.failed),
            "left": len(self.left),
            **{column: sum(getattr(file, column) for file in self.files) for column in COUNTS},
        }

    def to_dict(self) -> dict[str, Any]:
        """The result as plain JSON values."""
        return {
            "model_id": self.model_id,
            "totals": self.totals(),
            "files": [asdict(file) for file in self.files],
            "drift": self.drift and self.drift.to_dict(),
        }


@dataclass(frozen=True)
class Limits:
    """When a run ends before all is done; what is finished by then stays.

    Attributes:
        seconds: Time that it may take. Files under way at its end are left as they were.
        bad_files: Files that may fail; one more, and no other is begun.
    """

    seconds: float | None = None
    bad_files: int | None = None

    @classmethod
    def of(cls, deadline: str | None, max_bad_files: int | None) -> Self:
        """Limits as users name them.

        Args:
            deadline: A number and a unit, such as ``45m`` or ``1h30m``; None for no end.
            max_bad_files: At least 0; None for any number.

        Raises:
            ConfigurationError: One of them is out of range or cannot be read.
        """
        if max_bad_files is not None and max_bad_files < 0:
            raise ConfigurationError(
                "The number of bad files that a run bears is at least 0.",
                f"It is {max_bad_files}.",
                "Choose another --max-bad-files.",
            )
        if deadline is None:
            return cls(None, max_bad_files)
        from pandas import Timedelta

        try:
            if deadline.strip().replace(".", "").isdigit():
                raise ValueError
            seconds = Timedelta(deadline).total_seconds()
            if not seconds > 0:
                raise ValueError
        except ValueError:
            raise ConfigurationError(
                "A deadline is a number and a unit, and later than now.",
                f"'{deadline}' is none.",
                "Say for example --deadline 45m or --deadline 1h30m.",
            ) from None
        return cls(seconds, max_bad_files)


def score_parquet(
    source: StrPath,
    output: StrPath,
    model: StrPath | Scorer = CHAMPION,
    options: ScoreOptions | None = None,
    *,
    selection: Selection | None = None,
    limits: Limits | None = None,
    drift_limits: DriftLimits | None = None,
    on_rows: Callable[[int], None] | None = None,
    registry: Registry | None = None,
) -> RunResult:
    """Score a Parquet file, a folder of them, or a glob pattern.

    A single file either succeeds or raises. Of several, one that fails does not stop the others: it
    is named in the result. A folder gets a manifest and a ``_SUCCESS`` file once all of it is done.
    No other run may write to the output meanwhile; what dead runs left there is removed.

    Args:
        source: What to score, see `plan_files`.
        output: Where the scored copies go, see `plan_files`.
        model: ``@champion``, a version's id, the path of a bundle, or a scorer, which stays open.
        options: Columns, and rows without text.
        selection: Which files are asked for, by what is there already.
        limits: When to end before all is done.
        drift_limits: How far the batch may be from the model's reference.
        on_rows: Told after each batch how many rows more are done.
        registry: Where a reference is looked up, see `Scorer.load`.

    Raises:
        NoInputError: There is nothing to score.
        OutputInUseError: Another run is writing there.
        CannotWriteError: Input and output overlap, or the output folder cannot be written.
        ImdbClassifierError: The model cannot be loaded, see `Scorer.load`; or the input is a single
            file and cannot be scored, see `score_file`.
    """
    source, output, options = to_str(source), to_str(output), options or ScoreOptions()
    planned = plan_files(source, output)
    alone = storage_of(source).kind(source) == "file"
    with scorer_for(model, registry) as scorer, alone_in(output):
        alone = planned[0].source == source
        if not alone:
            withdraw(output)
        files = score_files(
            planned,
            scorer,
            options,
            selection=selection,
            limits=limits,
            on_rows=on_rows,
            raising=alone,
        )
        result = RunResult(scorer.bundle.model_id, tuple(files))
        if result.exit_code != EXIT_DONE:
            return result
        drift = report_drift(None if alone else output, planned, scorer.bundle, drift_limits)
        if not alone:
            scored_by = {"model_id": result.model_id, "model_hash": scorer.bundle.model_hash}
            declare(output, source, scored_by, options, planned, result.files)
    return replace(result, drift=drift)


@contextmanager
def alone_in(output: str) -> Iterator[None]:
    """Keep other runs away from an output, see `Storage.alone`.

    Raises:
        OutputInUseError: Another run is writing there.
        CannotWriteError: The place does not let us.
    """
    held = ExitStack()
    try:
        held.enter_context(storage_of(output).alone(output))
    except OSError as error:
        raise cannot_write(output, error) from error
    try:
        yield
    finally:
        try:
            held.close()
        except OSError as error:
            raise cannot_write(output, error) from error


def score_files(
    planned: Sequence[PlannedFile],
    scorer: Scorer,
    options: ScoreOptions,
    *,
    selection: Selection | None = None,
    limits: Limits | None = None,
    on_rows: Callable[[int], None] | None = None,
    raising: bool = False,
) -> list[FileResult]:
    """Score files; one that fails becomes a result like the others.

    One file more than the scorer has threads is under way, so that even small files, each scored by
    one thread and then flushed to disk, keep every core busy.

    Args:
        planned: The files.
        scorer: The model.
        options: Columns, and rows without text.
        selection: Which files are asked for, by what is there already.
        limits: When to end before all is done.
        on_rows: Told, in the caller's thread, how many rows more are done. If it raises, the files
            under way are left as they were before.
        raising: Raise the error of a file instead.

    Raises:
        ImdbClassifierError: See `score_file`.
    """
    limits = limits or Limits()
    ends = math.inf if limits.seconds is None else time.monotonic() + limits.seconds
    bad_files = count(1)
    progress: SimpleQueue[int | None] = SimpleQueue()
    stopped = Event()

    def report(rows: int) -> None:
        if stopped.is_set() or time.monotonic() >= ends:
            raise _StoppedError
        progress.put(rows)

    def failed(file: PlannedFile, error: ImdbClassifierError) -> FileResult:
        if limits.bad_files is not None and next(bad_files) > limits.bad_files:
            stopped.set()
        message = str(error)
        # Not where the output is at fault.
        if options.quarantine and isinstance(error, BadDataError | NoInputError):
            listed = Quarantine(file.quarantine, file.name)
            listed.add_file(message)
            try:
                listed.commit()
            except OSError as fault:
                message += f" It could not be listed below {QUARANTINE}: {first_line(fault)}."
        return FileResult(file.name, "failed", error=message, exit_code=error.exit_code)

    def score(file: PlannedFile) -> FileResult:
        try:
            report(0)
            return score_file(file, scorer, options, selection=selection, on_rows=report)
        except ImdbClassifierError as error:
            if raising:
                raise
            return failed(file, error)
        except _StoppedError:
            return FileResult(file.name, "left")
        except Exception as error:
            if raising:
                raise
            return failed(file, UnforeseenError(error))
        finally:
            progress.put(None)

    with ThreadPoolExecutor(scorer.threads + 1, thread_name_prefix="file") as pool:
        try:
            results = [pool.submit(score, file) for file in planned]
            for _ in planned:
                while (rows := progress.get()) is not None:
                    if on_rows is not None:
                        on_rows(rows)
            return [result.result() for result in results]
        except BaseException:
            stopped.set()
            pool.shutdown(cancel_futures=True)
            raise


class _StoppedError(Exception):
    """Ends the scoring of a file when the run is to end."""


def row_counts(planned: Iterable[PlannedFile]) -> list[int]:
    """Rows of each file, from its footer; a file that cannot be read counts as empty."""
    return [_row_count(file.source) for file in planned]


def _row_count(source: str) -> int:
    try:
        return int(read_metadata(source).num_rows)
    except UnreadableFileError:
        return 0
