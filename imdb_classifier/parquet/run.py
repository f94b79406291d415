"""Many Parquet files, scored with one model and committed together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from queue import SimpleQueue
from threading import Event
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from imdb_classifier.bundle import to_json
from imdb_classifier.errors import (
    EXIT_DONE,
    EXIT_PARTIAL,
    ImdbClassifierError,
    UnforeseenError,
)
from imdb_classifier.files import sha256_of, write_whole
from imdb_classifier.parquet.plan import PlannedFile, plan_files
from imdb_classifier.parquet.scored_file import (
    FileResult,
    ScoreOptions,
    cannot_write,
    score_file,
)
from imdb_classifier.scoring import Scorer

MANIFEST_FILE: Final = "_MANIFEST.json"
SUCCESS_FILE: Final = "_SUCCESS"


@dataclass(frozen=True)
class RunResult:
    """What a whole run did.

    Attributes:
        model_id: The one model that scored all of it.
        files: One result a file, in the order of their names.
    """

    model_id: str
    files: tuple[FileResult, ...]

    @property
    def failed(self) -> tuple[FileResult, ...]:
        """The files that could not be scored."""
        return tuple(file for file in self.files if file.status == "failed")

    @property
    def exit_code(self) -> int:
        """0 when all is done; 75 when some files failed; a failed file's own code when all did."""
        if not self.failed:
            return EXIT_DONE
        return EXIT_PARTIAL if len(self.failed) < len(self.files) else self.failed[0].exit_code

    def totals(self) -> dict[str, int]:
        """Files and rows in all."""
        columns = ("rows", "positive", "negative", "without_text")
        return {
            "files": len(self.files),
            "failed": len(self.failed),
            **{column: sum(getattr(file, column) for file in self.files) for column in columns},
        }

    def to_dict(self) -> dict[str, Any]:
        """The result as plain JSON values."""
        return {
            "model_id": self.model_id,
            "totals": self.totals(),
            "files": [asdict(file) for file in self.files],
        }


def score_parquet(
    source: str,
    output: str,
    scorer: Scorer,
    options: ScoreOptions | None = None,
    *,
    force: bool = False,
    on_rows: Callable[[int], None] | None = None,
) -> RunResult:
    """Score a Parquet file, a folder of them, or a glob pattern.

    A single file either succeeds or raises. Of several, one that fails does not stop the others: it
    is named in the result. A folder gets a manifest and a ``_SUCCESS`` file once all of it is done.

    Args:
        source: What to score, see `plan_files`.
        output: Where the scored copies go, see `plan_files`.
        scorer: The model.
        options: Column names.
        force: Replace outputs that an older model or input gave.
        on_rows: Told after each batch how many rows more are done.

    Raises:
        NoInputError: There is nothing to score.
        CannotWriteError: Input and output overlap, or the output folder cannot be written.
        ImdbClassifierError: The input is a single file and cannot be scored, see `score_file`.
    """
    options = options or ScoreOptions()
    planned = plan_files(source, output)
    if Path(source).is_file():
        only = score_file(planned[0], scorer, options, force=force, on_rows=on_rows)
        return RunResult(scorer.bundle.model_id, (only,))
    start_run(output)
    files = score_files(planned, scorer, options, force=force, on_rows=on_rows)
    result = RunResult(scorer.bundle.model_id, tuple(files))
    finish_run(output, result, options)
    return result


def start_run(output: str) -> None:
    """Take back the promise that a folder is complete, until `finish_run` gives it again.

    Raises:
        CannotWriteError: The folder does not let us.
    """
    try:
        for name in (SUCCESS_FILE, MANIFEST_FILE):
            (Path(output) / name).unlink(missing_ok=True)
    except OSError as error:
        raise cannot_write(Path(output), error) from error


def score_files(
    planned: Sequence[PlannedFile],
    scorer: Scorer,
    options: ScoreOptions,
    *,
    force: bool = False,
    on_rows: Callable[[int], None] | None = None,
) -> list[FileResult]:
    """Score files; one that fails becomes a result like the others.

    One file more than the scorer has threads is under way, so that even small files, each scored by
    one thread and then flushed to disk, keep every core busy.

    Args:
        planned: The files.
        scorer: The model.
        options: Column names.
        force: See `score_file`.
        on_rows: Told, in the caller's thread, how many rows more are done. If it raises, the files
            under way are left as they were before.
    """
    progress: SimpleQueue[int | None] = SimpleQueue()
    stopped = Event()

    def report(rows: int) -> None:
        if stopped.is_set():
            raise _StoppedError
        progress.put(rows)

    def score(file: PlannedFile) -> FileResult:
        try:
            return score_file(file, scorer, options, force=force, on_rows=report)
        except ImdbClassifierError as error:
            return _failed(file, error)
        except _StoppedError:
            raise
        except Exception as error:
            return _failed(file, UnforeseenError(error))
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
    """Ends the scoring of a file when the run is interrupted."""


def _failed(file: PlannedFile, error: ImdbClassifierError) -> FileResult:
    return FileResult(file.name, "failed", error=str(error), exit_code=error.exit_code)


def finish_run(output: str, result: RunResult, options: ScoreOptions) -> None:
    """Write the manifest of a folder, then ``_SUCCESS``; nothing where a file failed.

    Nothing in the manifest tells two runs over the same input apart.

    Raises:
        CannotWriteError: The folder does not let us.
    """
    if result.failed:
        return
    manifest = {
        "model_id": result.model_id,
        "options": asdict(options),
        "totals": result.totals(),
        "files": [
            {
                "name": file.name,
                "rows": file.rows,
                "positive": file.positive,
                "negative": file.negative,
                "without_text": file.without_text,
                "sha256": sha256_of(Path(output) / file.name),
            }
            for file in result.files
        ],
    }
    try:
        write_whole(Path(output) / MANIFEST_FILE, to_json(manifest))
        write_whole(Path(output) / SUCCESS_FILE, "")
    except OSError as error:
        raise cannot_write(Path(output), error) from error


def row_counts(planned: Iterable[PlannedFile]) -> list[int]:
    """Rows of each file, from its footer; a file that cannot be read counts as empty."""
    return [_row_count(file.source) for file in planned]


def _row_count(source: Path) -> int:
    try:
        return int(pq.read_metadata(source).num_rows)
    except (OSError, pa.ArrowException):
        return 0
