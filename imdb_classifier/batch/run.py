"""A batch run: find the files, score them with one model, and commit them together."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from threading import Event, Lock
from typing import Self

from imdb_classifier.batch.assessment import Assessment, Assessor, ExistingOutputs
from imdb_classifier.batch.file_pool import score_files
from imdb_classifier.batch.inputs.discovery import DiscoveredFile, Discovery, discover_files
from imdb_classifier.batch.options import Limits, ScoreOptions, Selection
from imdb_classifier.batch.outputs.drift_report import drift_file, write_drift
from imdb_classifier.batch.outputs.publication import (
    EarlierRun,
    announce,
    prune,
    publish,
    unpublish,
    unpublish_around,
    unpublish_within,
)
from imdb_classifier.batch.outputs.scored_file import result_of_output
from imdb_classifier.batch.results import FileResult, FileStatus, RunResult, UnitResult
from imdb_classifier.batch.units import FileToScore, Unit, group_files
from imdb_classifier.errors import EXIT_DONE, printable, spelled
from imdb_classifier.model.bundle import Bundle
from imdb_classifier.monitoring.drift import drift_of
from imdb_classifier.monitoring.drift_limits import DriftLimits
from imdb_classifier.progress import Progress
from imdb_classifier.registry.access import CHAMPION
from imdb_classifier.registry.versions import Registry
from imdb_classifier.scoring.scorer import Scorer, scorer_for
from imdb_classifier.storage import storage_of
from imdb_classifier.storage.paths import StrPath, location_of
from imdb_classifier.system_errors import cannot_write
from imdb_classifier.text.batch_profile import BatchProfile


@dataclass(frozen=True)
class BatchRun:
    """The steps of a run, in order: `open`; `units`, each scored by `score_files`; `finish`.

    Attributes:
        source: The input, as the user named it.
        output: The output, as the user named it.
        discovery: What the input consists of.
        assessed: For each file, its result if the run does not score it; else what to score.
        reused: What the texts in up-to-date outputs look like.
        was_complete: Whether the output is declared complete by an earlier run.
        orphans: Outputs without an input: paths relative to the folder.
        options: Columns, and rows without text.
        selection: Which files are scored, and which outputs are deleted.
        limits: When to stop early, and when the run is complete although files are bad.
        ends_at: The deadline, in seconds since 1970; None for no deadline.
        drift_limits: How much the rows may differ from the model's reference.
    """

    source: str
    output: str
    discovery: Discovery
    assessed: tuple[FileResult | FileToScore, ...]
    reused: BatchProfile
    was_complete: bool
    orphans: tuple[str, ...]
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
        model_hash: str,
        options: ScoreOptions | None = None,
        *,
        selection: Selection | None = None,
        limits: Limits | None = None,
        drift_limits: DriftLimits | None = None,
    ) -> Iterator[Self]:
        """Lock the output, find and assess the files, and mark the output as incomplete.

        An output stays declared complete if there is nothing to do.

        Raises:
            NoInputError: There is nothing to score.
            OutputInUseError: Another run is writing to the output.
            CannotWriteError: Input and output overlap, the output belongs to another program, or it
                cannot be written.
            ImdbClassifierError: The input is a single file whose output must not be replaced.
        """
        source, output = location_of(source), location_of(output)
        options, selection, limits = (
            options or ScoreOptions(), selection or Selection(), limits or Limits(),
        )  # fmt: skip
        ends_at = None if limits.seconds is None else time.time() + limits.seconds
        discovery = discover_files(source, output)
        with locked(output, discovery.files[0] if discovery.root is None else None):
            outputs = ExistingOutputs.find(discovery, output)
            earlier = EarlierRun.find(discovery, output, outputs.names)
            assessed, reused = _assess(discovery, Assessor(model_hash, options, selection, outputs))
            run = cls(
                source=source,
                output=output,
                discovery=discovery,
                assessed=assessed,
                reused=reused,
                was_complete=earlier.is_complete,
                orphans=outputs.orphans(discovery, source, output, earlier),
                options=options,
                selection=selection,
                limits=limits,
                ends_at=ends_at,
                drift_limits=drift_limits or DriftLimits(),
            )
            if not run.has_nothing_to_do:
                if not run.is_single_file:
                    unpublish(output)
                    unpublish_within(output, outputs.names)
                    announce(output, source, (file.name for file in discovery.files), earlier)
                unpublish_around(run.target)
            # All names in the output, which take memory as long as this waits.
            del outputs, earlier
            yield run

    @property
    def is_single_file(self) -> bool:
        """Whether the input is one file: its error is then raised, and there is no manifest."""
        return self.discovery.root is None

    @property
    def target(self) -> str:
        """The output: the scored file, or the folder."""
        return self.discovery.files[0].target if self.is_single_file else self.output

    @property
    def has_nothing_to_do(self) -> bool:
        """Whether the output stays as it is, so that it may stay declared complete."""
        return not (self.to_score or (self.selection.prune and self.orphans))

    @cached_property
    def to_score(self) -> tuple[FileToScore, ...]:
        """The files to score, in order."""
        return tuple(file for file in self.assessed if isinstance(file, FileToScore))

    def units(self, most: int = 1, least_rows: int = 0) -> list[Unit]:
        """Return the files to score in units, see `group_files`; none if there are none."""
        most_bad = self.limits.max_bad_files
        rows = [file.rows for file in self.to_score]
        groups = group_files(rows, most, least_rows) if rows else []
        return [
            Unit(
                self.to_score[group.start : group.stop],
                self.options,
                ends_at=self.ends_at,
                bad_files=None if most_bad is None else most_bad - self._failed,
                raise_errors=self.is_single_file,
            )
            for group in groups
        ]

    def finish(self, units: Iterable[UnitResult], bundle: Bundle) -> RunResult:
        """Compare the rows with the reference; if the output is complete, prune and publish it.

        Args:
            units: What `score_files` returned for each unit, in order.
            bundle: The model that scored them.

        Raises:
            CannotWriteError: The output cannot be written.
        """
        units = tuple(units)
        scored = (file for unit in units for file in unit.files)
        profile = sum((unit.profile for unit in units), BatchProfile())
        result = RunResult(
            bundle.model_id,
            tuple(next(scored) if isinstance(f, FileToScore) else f for f in self.assessed),
            ignored=self.discovery.ignored,
            orphans=tuple(map(spelled, self.orphans)),
            accept_bad_files=self.limits.accept_bad_files,
            engines=tuple(sorted({unit.engine for unit in units})),
        )
        if profile.rows:
            unsure = sum(file.unsure for file in result.of_status("scored"))
            result = replace(result, drift=drift_of(bundle, profile, self.drift_limits, unsure))
        if self.selection.prune:
            prune(self.output, self.orphans)
            result = replace(result, pruned=result.orphans)
        if not self._completes(result):
            is_kept = self.has_nothing_to_do and self.was_complete
            return replace(result, is_marked=is_kept or self.is_single_file)
        result = replace(
            result,
            is_complete=True,
            is_marked=True,
            output_drift=drift_of(
                bundle, self.reused + profile, self.drift_limits, result.totals()["unsure"]
            ),
        )
        write_drift(drift_file(self.target, not self.is_single_file), result.output_drift)
        if not self.is_single_file:
            publish(self.output, self.source, bundle, self.options, result)
        return result

    def _completes(self, result: RunResult) -> bool:
        """Return whether the output can be declared complete."""
        if result.exit_code != EXIT_DONE or result.of_status("outdated"):
            return False
        # What waits for its first score does not make a complete output incomplete, but an output
        # that never was complete is not completed without it.
        return self.was_complete or not result.of_status("skipped")

    @property
    def _failed(self) -> int:
        """Number of files whose output must not be replaced."""
        return sum(
            isinstance(file, FileResult) and file.status == "failed" for file in self.assessed
        )


def _assess(
    discovery: Discovery, assessor: Assessor
) -> tuple[tuple[FileResult | FileToScore, ...], BatchProfile]:
    """Return what `BatchRun` knows of each file, and the profile of outputs that are reused."""
    total, adding = BatchProfile(), Lock()

    def known(found: Assessment) -> FileResult | FileToScore:
        nonlocal total
        file = found.file
        if found.is_scored:
            return FileToScore(file, found.rows, found.verdict == "stale")
        if found.verdict == "finished" and found.provenance and found.output_digest:
            with adding:
                total += BatchProfile.from_dict(found.provenance["profile"])
            return result_of_output(file, "reused", found.provenance, found.output_digest)
        if found.verdict == "failing" and found.error:
            if discovery.root is None:
                raise found.error
            return FileResult(
                file.name,
                "failed",
                output=printable(file.target),
                error=str(found.error),
                exit_code=found.error.exit_code,
                may_pass=found.error.may_pass,
            )
        status: FileStatus = "outdated" if found.verdict == "outdated" else "skipped"
        output = printable(file.target) if status == "outdated" else None
        return FileResult(file.name, status, output=output)

    return tuple(assessor.each(discovery.files, known)), total


def score_parquet(
    source: StrPath,
    output: StrPath,
    model: StrPath | Scorer = CHAMPION,
    options: ScoreOptions | None = None,
    *,
    selection: Selection | None = None,
    limits: Limits | None = None,
    drift_limits: DriftLimits | None = None,
    progress: Progress | None = None,
    cancel: Event | None = None,
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
            this machine or in an object store. Hidden names are ignored, as in Spark.
        output: For a file, the file to write, or a folder if the name does not end in ``.parquet``;
            otherwise a folder.
        model: ``@champion``, a version's id, the path of a bundle, or a `Scorer`. A model named by
            reference is loaded for this call; a `Scorer` stays open.
        options: Columns, and rows without text.
        selection: Which files are scored, and which outputs are deleted.
        limits: When to stop early, and when the run is complete although files are bad.
        drift_limits: How much the rows may differ from the model's reference.
        progress: Called after each batch, in the thread of the caller, with ``"rows"``, the number
            of rows done so far, and the number to be scored. If it raises, the run ends like a
            canceled one, with this exception.
        cancel: Ends the run early once it is set, by another thread or a signal handler. Finished
            files are kept, outputs of files in progress stay as they were, and the result lists
            both the ones in progress and the rest as ``pending``.
        registry: Where a reference is looked up; by default `Registry.at()`.

    Returns:
        What happened to each file. Its ``exit_code`` is 0 if everything that was asked for is done.

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
            scorer.bundle.model_hash,
            options,
            selection=selection,
            limits=limits,
            drift_limits=drift_limits,
        ) as run,
    ):
        units = [score_files(unit, scorer, progress, cancel) for unit in run.units()]
        return run.finish(units, scorer.bundle)


@contextmanager
def locked(output: str, single: DiscoveredFile | None = None) -> Iterator[None]:
    """Lock an output against other runs, see `Storage.lock`.

    Args:
        output: The output, as the user named it.
        single: The file to score, if the input is a single file: only its outputs are locked.

    Raises:
        OutputInUseError: Another run is writing to it.
        CannotWriteError: The output cannot be written.
    """
    held = ExitStack()
    try:
        if single is None:
            held.enter_context(storage_of(output).lock(output))
        else:
            side_files = (drift_file(single.target, False), single.quarantine)
            held.enter_context(storage_of(output).lock(single.target, side_files))
    except OSError as error:
        raise cannot_write(output, error) from error
    try:
        yield
    finally:
        try:
            held.close()
        except OSError as error:
            raise cannot_write(output, error) from error
