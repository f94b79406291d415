"""A batch run: find the files, score them with one model, and commit them together."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

from imdb_classifier.batch.file_pool import score_files
from imdb_classifier.batch.inputs.discovery import DiscoveredFile, discover_files
from imdb_classifier.batch.options import Limits, ScoreOptions, Selection
from imdb_classifier.batch.outputs.drift_report import beside, report_drift, state_of_report
from imdb_classifier.batch.outputs.publication import publish, unpublish
from imdb_classifier.batch.results import FileResult, RunResult
from imdb_classifier.errors import EXIT_DONE, cannot_write
from imdb_classifier.model.bundle import Bundle
from imdb_classifier.monitoring.drift import DriftLimits
from imdb_classifier.registry.versions import CHAMPION, Registry
from imdb_classifier.scoring.scorer import Scorer, scorer_for
from imdb_classifier.storage import storage_of
from imdb_classifier.storage.paths import StrPath, location_of


@dataclass(frozen=True)
class BatchRun:
    """The steps of a run, in order: `open`, `score` for all files or parts of them, `finish`.

    It holds plain values, so that other processes can score its parts.

    Attributes:
        source: The input, as the user named it.
        output: The output, as the user named it.
        files: The files to score, or a part of them.
        is_single_file: Whether `source` is a single file: its error is then raised, and there is no
            manifest.
        options: Columns, and rows without text.
        selection: Which files are scored, depending on the outputs that exist already.
        limits: When to stop early.
        ends_at: The deadline, in seconds since 1970; None for no deadline.
        drift_limits: How much the batch may differ from the model's reference.
    """

    source: str
    output: str
    files: tuple[DiscoveredFile, ...]
    is_single_file: bool
    options: ScoreOptions
    selection: Selection
    limits: Limits
    ends_at: float | None
    drift_limits: DriftLimits

    @classmethod
    @contextmanager
    def open(
        cls,
        source: StrPath,
        output: StrPath,
        options: ScoreOptions | None = None,
        *,
        selection: Selection | None = None,
        limits: Limits | None = None,
        drift_limits: DriftLimits | None = None,
    ) -> Iterator[Self]:
        """Lock the output, find the files, and mark the output as incomplete.

        Raises:
            NoInputError: There is nothing to score.
            OutputInUseError: Another run is writing to the output.
            CannotWriteError: Input and output overlap, or the output cannot be written.
        """
        source, output = location_of(source), location_of(output)
        limits = limits or Limits()
        ends_at = None if limits.seconds is None else time.time() + limits.seconds
        with locked(output):
            found = discover_files(source, output)
            run = cls(
                source=source,
                output=output,
                files=found.files,
                is_single_file=found.root is None,
                options=options or ScoreOptions(),
                selection=selection or Selection(),
                limits=limits,
                ends_at=ends_at,
                drift_limits=drift_limits or DriftLimits(),
            )
            if run.is_single_file:
                state_of_report(beside(run.files[0].target))
            else:
                unpublish(output)
            yield run

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return the run that `to_dict` describes."""
        return cls(
            **{
                **values,
                "files": tuple(DiscoveredFile(**file) for file in values["files"]),
                "options": ScoreOptions(**values["options"]),
                "selection": Selection(**values["selection"]),
                "limits": Limits(**values["limits"]),
                "drift_limits": DriftLimits(**values["drift_limits"]),
            }
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the run as plain JSON values."""
        return asdict(self)

    def part(self, positions: range) -> Self:
        """Return the run with only some of its files."""
        return replace(self, files=self.files[positions.start : positions.stop])

    def score(
        self, scorer: Scorer, on_rows: Callable[[int], None] | None = None
    ) -> list[FileResult]:
        """Score the files with the threads of this process.

        Args:
            scorer: The model.
            on_rows: Called after each batch with the number of rows done since the last call.

        Raises:
            ImdbClassifierError: The input is a single file and cannot be scored, see `score_file`.
        """
        return score_files(
            self.files,
            scorer,
            self.options,
            self.selection,
            ends_at=self.ends_at,
            max_bad_files=self.limits.max_bad_files,
            on_rows=on_rows,
            raise_errors=self.is_single_file,
        )

    def finish(self, results: Sequence[FileResult], bundle: Bundle) -> RunResult:
        """If every file is scored, compare the batch with the reference and publish the folder.

        Args:
            results: What `score` returned for all files, in their order.
            bundle: The model that scored them.

        Raises:
            BadDataError: An output has changed since this run wrote or checked it.
            CannotWriteError: The output cannot be written.
        """
        result = RunResult(bundle.model_id, tuple(results))
        if result.exit_code != EXIT_DONE:
            return result
        folder = None if self.is_single_file else self.output
        drift = report_drift(folder, self.files, bundle, self.drift_limits)
        if folder is not None:
            publish(folder, self.source, bundle, self.options, self.files, results)
        return replace(result, drift=drift)


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

    A single file either succeeds or raises. If there are several, one that fails does not stop the
    others; the result names it. A folder gets a manifest and a ``_SUCCESS`` file once every file in
    it is scored. Meanwhile, no other run may write to the output; leftovers of interrupted runs are
    deleted.

    Args:
        source: A Parquet file; a folder, including its subfolders (Hive partitions such as
            ``day=2026-11-01`` are kept); or a glob pattern such as ``reviews/**/*.parquet``; on
            this machine or in an object store. Names that start with ``.`` or ``_`` are ignored.
        output: For a file, the file to write, or a folder if the name does not end in ``.parquet``;
            otherwise a folder.
        model: ``@champion``, a version's id, the path of a bundle, or a `Scorer`. A model named by
            reference is loaded for this call; a `Scorer` stays open.
        options: Columns, and rows without text.
        selection: Which files are scored, depending on the outputs that exist already.
        limits: When to stop early.
        drift_limits: How much the batch may differ from the model's reference.
        on_rows: Called after each batch with the number of rows done since the last call.
        registry: Where a reference is looked up; by default `Registry.at()`.

    Returns:
        What happened to each file. Its ``exit_code`` is 0 if all of them are scored.

    Raises:
        NoInputError: There is nothing to score.
        OutputInUseError: Another run is writing to the output.
        CannotWriteError: Input and output overlap, or the output folder cannot be written.
        ImdbClassifierError: The model cannot be loaded, see `Scorer.load`; or the input is a single
            file that cannot be scored.

    Example:
        >>> import pyarrow as pa, pyarrow.parquet as pq
        >>> from imdb_classifier import score_parquet
        >>> texts = ["A warm and funny film.", "Dull, loud and badly cut.", None]
        >>> pq.write_table(pa.table({"text": texts}), "reviews.parquet")
        >>> result = score_parquet("reviews.parquet", "scored.parquet")
        >>> result.totals()["rows"], result.totals()["without_text"]
        (3, 1)
        >>> pq.read_table("scored.parquet")["sentiment_label"].to_pylist()
        ['positive', 'negative', None]
    """
    with (
        scorer_for(model, registry) as scorer,
        BatchRun.open(
            source,
            output,
            options,
            selection=selection,
            limits=limits,
            drift_limits=drift_limits,
        ) as run,
    ):
        return run.finish(run.score(scorer, on_rows), scorer.bundle)


@contextmanager
def locked(output: str) -> Iterator[None]:
    """Lock an output against other runs, see `Storage.lock`.

    Raises:
        OutputInUseError: Another run is writing to it.
        CannotWriteError: The output cannot be written.
    """
    held = ExitStack()
    try:
        held.enter_context(storage_of(output).lock(output))
    except OSError as error:
        raise cannot_write(output, error) from error
    try:
        yield
    finally:
        try:
            held.close()
        except OSError as error:
            raise cannot_write(output, error) from error
