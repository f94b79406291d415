"""What scoring an input would do and take, from footers alone."""

from __future__ import annotations

import resource
import sys
import time
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from imdb_classifier import samples
from imdb_classifier.batch.discovery import PlannedFile, plan_files
from imdb_classifier.batch.outputs.provenance import (
    Selection,
    footer_digest,
    read_footer,
    read_metadata,
)
from imdb_classifier.batch.outputs.scored_file import BATCHES_AHEAD, ROW_GROUP_ROWS, ScoreOptions
from imdb_classifier.errors import BadDataError, MissingColumnError
from imdb_classifier.registry.versions import CHAMPION, Registry
from imdb_classifier.schema import TEXT
from imdb_classifier.scoring.scorer import CHUNK_ROWS, Scorer, scorer_for
from imdb_classifier.storage import storage_of
from imdb_classifier.storage.paths import StrPath, to_str

TRIAL_SECONDS: Final = 0.3
COPIES: Final = 2
"""Of a row in memory at once, beside each other: as it was read, and as it is written."""

Status = Literal["new", "stale", "finished", "left", "unreadable"]


@dataclass(frozen=True)
class FileEstimate:
    """What would become of one file.

    Attributes:
        name: Its path relative to the input.
        rows: Rows in it; 0 where it cannot be read.
        status: ``new`` or ``stale`` when it would be scored, ``finished`` when it would be skipped,
            ``left`` when it is not asked for, ``unreadable`` when it has no footer or no text.
    """

    name: str
    rows: int
    status: Status


@dataclass(frozen=True)
class Estimate:
    """What a run would do, and about what it would take.

    Attributes:
        model_id: The model that would score.
        files: One a file, in the order of their names.
        seconds: Wall-clock time, from a trial on this machine. Every byte counts as text, so wide
            columns beside the text make it too long.
        memory_bytes: Most memory at once.
    """

    model_id: str
    files: tuple[FileEstimate, ...]
    seconds: float
    memory_bytes: int

    def totals(self) -> dict[str, int]:
        """Files and rows in all, and those that would be scored."""
        scored = [file for file in self.files if file.status in ("new", "stale")]
        return {
            "files": len(self.files),
            "rows": sum(file.rows for file in self.files),
            "files_to_score": len(scored),
            "rows_to_score": sum(file.rows for file in scored),
        }

    def to_dict(self) -> dict[str, Any]:
        """The estimate as plain JSON values."""
        return {"totals": self.totals(), **asdict(self)}


def estimate_run(
    source: StrPath,
    output: StrPath,
    model: StrPath | Scorer = CHAMPION,
    options: ScoreOptions | None = None,
    *,
    selection: Selection | None = None,
    registry: Registry | None = None,
) -> Estimate:
    """What `run.score_parquet` would do with the same arguments, without reading any rows.

    Whether an input is what an output was scored from is judged by its length and footer; the run
    itself compares all of it.

    Args:
        source: See `plan.plan_files`.
        output: See `plan.plan_files`.
        model: As for `score_parquet`.
        options: Columns, and rows without text.
        selection: Which files are asked for, by what is there already.
        registry: As for `score_parquet`.

    Raises:
        NoInputError: There is nothing to score.
        CannotWriteError: Input and output overlap.
        ImdbClassifierError: The model cannot be loaded, see `Scorer.load`.
    """
    with scorer_for(model, registry, allow_unapproved=True) as scorer:
        return _estimate(
            to_str(source),
            to_str(output),
            scorer,
            options or ScoreOptions(),
            selection or Selection(stale="replace"),
        )


def _estimate(
    source: str, output: str, scorer: Scorer, options: ScoreOptions, selection: Selection
) -> Estimate:
    origin = {"model_hash": scorer.bundle.model_hash, "options": asdict(options)}
    files = []
    total_bytes = widest = 0
    for planned in plan_files(source, output):
        try:
            metadata = read_metadata(planned.source)
            _check_column(metadata, options.text_column)
            status = _status(planned, origin, selection)
        except (OSError, BadDataError):
            files.append(FileEstimate(planned.name, 0, "unreadable"))
            continue
        files.append(FileEstimate(planned.name, metadata.num_rows, status))
        if status in ("new", "stale") and metadata.num_rows:
            groups = (metadata.row_group(i) for i in range(metadata.num_row_groups))
            size = sum(group.total_byte_size for group in groups)
            total_bytes += size
            width = size / metadata.num_rows
            rows = min(metadata.num_rows, (BATCHES_AHEAD + 1) * CHUNK_ROWS + ROW_GROUP_ROWS)
            widest = max(widest, int(width * rows))
    to_score = sum(file.status in ("new", "stale") for file in files)
    at_once = min(to_score, scorer.threads + 1)
    return Estimate(
        model_id=scorer.bundle.model_id,
        files=tuple(files),
        seconds=total_bytes / _text_bytes_a_second(scorer),
        memory_bytes=_peak_memory() + COPIES * at_once * widest,
    )


def _status(planned: PlannedFile, origin: dict[str, Any], selection: Selection) -> Status:
    if storage_of(planned.target).kind(planned.target) is None:
        return "new" if selection.new else "left"
    footer = read_footer(planned.target) or {}
    fits = footer.get("input_footer") == footer_digest(planned.source) and all(
        footer.get(key) == value for key, value in origin.items()
    )
    if fits and not selection.finished:
        return "finished"
    return "left" if selection.stale == "leave" else "stale"


def _check_column(metadata: pq.FileMetaData, column: str) -> None:
    """Make sure that a file has the text column.

    Raises:
        MissingColumnError: It has not.
    """
    paths = [metadata.schema.column(i).path for i in range(metadata.num_columns)]
    if column not in paths:
        raise MissingColumnError(column, "the file", paths, "--text-column")


def _text_bytes_a_second(scorer: Scorer) -> float:
    """How fast this machine scores, by a trial with the sample's reviews, on every thread."""
    tables = [pq.read_table(file) for file in sorted(samples.FOLDER.glob("*.parquet"))]
    texts = pa.concat_tables(tables)[TEXT].combine_chunks()
    repeated = pa.concat_arrays([texts] * (scorer.threads * CHUNK_ROWS // len(texts) + 1))
    chunk = repeated.slice(0, scorer.threads * CHUNK_ROWS)
    scorer.probabilities(texts)
    began, rounds = time.perf_counter(), 0
    while rounds == 0 or time.perf_counter() - began < TRIAL_SECONDS:
        scorer.probabilities(chunk)
        rounds += 1
    size: int = pc.sum(pc.binary_length(chunk)).as_py()
    return rounds * size / (time.perf_counter() - began)


def _peak_memory() -> int:
    """What this process, with the model loaded, has had in memory at most, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
