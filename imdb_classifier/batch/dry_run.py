"""Dry run: files to score, estimated time and memory, from the footers of the files."""

from __future__ import annotations

import sys
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from imdb_classifier import samples
from imdb_classifier.batch.assessment import Assessment, Assessor, ExistingOutputs, Verdict
from imdb_classifier.batch.inputs.discovery import discover_files
from imdb_classifier.batch.inputs.file_names import IgnoredFile
from imdb_classifier.batch.inputs.reader import (
    CHUNK_BYTES,
    READ_ROWS,
    CheckedInput,
    check_input,
)
from imdb_classifier.batch.options import ScoreOptions, Selection
from imdb_classifier.batch.outputs.publication import EarlierRun
from imdb_classifier.batch.outputs.rewritten_copy import ROW_GROUP_BYTES
from imdb_classifier.batch.outputs.scored_rows import BYTES_AHEAD, CHUNKS_AHEAD
from imdb_classifier.batch.parquet_footer.added_columns import row_group_rows, text_bytes
from imdb_classifier.errors import ImdbClassifierError, spelled
from imdb_classifier.model.engines import EngineName
from imdb_classifier.progress import Progress
from imdb_classifier.registry.access import CHAMPION
from imdb_classifier.registry.versions import Registry
from imdb_classifier.schema import TEXT
from imdb_classifier.scoring.scorer import CHUNK_ROWS, Scorer, scorer_for
from imdb_classifier.storage.paths import StrPath, location_of
from imdb_classifier.text.encoding import ENCODED_BYTES

TRIAL_SECONDS: Final = 0.3
COPIES: Final = 2
"""Number of copies of a row in memory at a time: one as read, and one as written."""
SCORE_BYTES: Final = 16
"""Of a label and a probability in memory."""
REASON_BYTES: Final = 24
"""Of the longest reason in memory."""
ENCODED_TIMES: Final = {"keras": 8, "normal": 9}
"""How much memory the encoding of text takes, in the size of the text, by its form. Text with other
than ASCII characters takes 1.5 times as much, and up to 1.8 times without any ASCII letter."""
_STATUS: Final = Path("/proc/self/status")


@dataclass(frozen=True, slots=True)
class FileForecast:
    """What would happen to one file.

    Attributes:
        name: Its path relative to the input.
        rows: Rows in it; 0 if it cannot be read.
        status: ``new`` or ``stale`` if it would be scored, ``finished`` if its output would be
            reused, ``skipped`` or ``outdated`` if the selection leaves it out (without an output,
            or with one of another model, input or options), ``failing`` if scoring it would fail.
        error: Why it would fail, else None.
    """

    name: str
    rows: int
    status: Verdict
    error: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the forecast as plain JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class DryRun:
    """What a run would do, and its estimated time and memory.

    Attributes:
        model_id: The model that would be used.
        engine: The engine that would run it.
        files: One forecast for each file, sorted by name.
        ignored: Files of the input folder that might be data and would not be scored.
        orphans: Outputs without an input, by name.
        seconds: Estimated wall-clock time, from a trial on this machine.
        memory_bytes: Estimated peak memory.
    """

    model_id: str
    engine: EngineName
    files: tuple[FileForecast, ...]
    ignored: tuple[IgnoredFile, ...]
    orphans: tuple[str, ...]
    seconds: float
    memory_bytes: int

    def totals(self) -> dict[str, int]:
        """Return the number of files and rows, in total and to score."""
        scored = [file for file in self.files if file.status in ("new", "stale")]
        return {
            "files": len(self.files),
            "rows": sum(file.rows for file in self.files),
            "files_to_score": len(scored),
            "rows_to_score": sum(file.rows for file in scored),
        }

    def to_dict(self) -> dict[str, Any]:
        """Return the dry run as plain JSON values."""
        return {**self.outline(), "files": [file.to_dict() for file in self.files]}

    def outline(self) -> dict[str, Any]:
        """Return what `to_dict` does, with the files as they are, which takes less memory."""
        others = asdict(replace(self, files=()))
        return {"totals": self.totals(), **others, "files": self.files}


def dry_run_parquet(
    source: StrPath,
    output: StrPath,
    model: StrPath | Scorer = CHAMPION,
    options: ScoreOptions | None = None,
    *,
    selection: Selection | None = None,
    registry: Registry | None = None,
    progress: Progress | None = None,
) -> DryRun:
    """Return what `score_parquet` would do with the same arguments, without reading any rows.

    An input counts as unchanged since it was scored if its length and footer are, as in the run
    itself. Problems that only the rows show, such as damage or text that is not valid UTF-8, are
    not detected.

    Args:
        source: As for `score_parquet`.
        output: As for `score_parquet`.
        model: As for `score_parquet`.
        options: Columns, and rows without text.
        selection: Which files are scored, depending on the outputs that exist already.
        registry: As for `score_parquet`.
        progress: Called in this thread after each file with ``"files"``, the number of files
            looked at, and the number of files.

    Returns:
        What would happen to each file, and the estimated time and memory.

    Raises:
        NoInputError: There is nothing to score.
        CannotWriteError: Input and output overlap.
        ImdbClassifierError: The model cannot be loaded, see `Scorer.load`.

    Example:
        >>> import pyarrow as pa, pyarrow.parquet as pq
        >>> from imdb_classifier import dry_run_parquet
        >>> pq.write_table(pa.table({"text": ["A warm and funny film."]}), "reviews.parquet")
        >>> found = dry_run_parquet("reviews.parquet", "scored.parquet")
        >>> [(file.name, file.rows, file.status) for file in found.files]
        [('reviews.parquet', 1, 'new')]
    """
    with scorer_for(model, registry) as scorer:
        return _dry_run(
            location_of(source),
            location_of(output),
            scorer,
            options or ScoreOptions(),
            selection or Selection(),
            progress or (lambda *_: None),
        )


def _dry_run(
    source: str,
    output: str,
    scorer: Scorer,
    options: ScoreOptions,
    selection: Selection,
    progress: Progress,
) -> DryRun:
    discovery = discover_files(source, output)
    outputs = ExistingOutputs.find(discovery, output)
    earlier = EarlierRun.find(discovery, output, outputs.names)
    assessor = Assessor(scorer.bundle.model_hash, options, selection, outputs)
    forecasts: list[tuple[FileForecast, _Size | None]] = []
    progress("files", 0, len(discovery.files))
    for forecast in assessor.each(discovery.files, lambda found: _forecast(found, options)):
        forecasts.append(forecast)
        progress("files", len(forecasts), len(discovery.files))
    sizes = [size for _, size in forecasts if size is not None]
    at_once = min(len(sizes), scorer.threads + 1)
    return DryRun(
        model_id=scorer.bundle.model_id,
        engine=scorer.bundle.engine.name,
        files=tuple(forecast for forecast, _ in forecasts),
        ignored=discovery.ignored,
        orphans=tuple(map(spelled, outputs.orphans(discovery, source, output, earlier))),
        seconds=sum(size.text for size in sizes) / _text_bytes_a_second(scorer),
        memory_bytes=_peak_memory()
        + at_once * max((COPIES * size.held + size.scores for size in sizes), default=0)
        + ENCODED_TIMES[scorer.bundle.recipe.encoding.text_form]
        * min(
            sum(size.text for size in sizes),
            scorer.threads * max((size.piece for size in sizes), default=0),
        ),
    )


@dataclass(frozen=True, slots=True)
class _Size:
    """Bytes of a file.

    Attributes:
        text: Its text.
        piece: Text that a thread encodes at a time.
        held: Columns that are in memory at once.
        scores: Labels and probabilities that wait until their row group is complete.
    """

    text: int
    piece: int
    held: int
    scores: int


def _forecast(found: Assessment, options: ScoreOptions) -> tuple[FileForecast, _Size | None]:
    """Return what would happen to a file, with the checks that scoring it begins with."""
    name, error = found.file.name, found.error
    if found.is_scored and found.footer is not None:
        try:
            size = _size(check_input(found.footer, name, options), options)
            return FileForecast(name, found.rows, found.verdict), size
        except ImdbClassifierError as refused:
            error = refused
    if found.is_scored or found.verdict == "failing":
        return FileForecast(name, found.rows, "failing", str(error)), None
    return FileForecast(name, found.rows, found.verdict), None


def _size(checked: CheckedInput, options: ScoreOptions) -> _Size:
    text = text_bytes(checked.tree, checked.path)
    decoded = text if checked.plain is None else checked.plain.decoded_bytes
    of_row, of_text = (size // max(checked.footer.metadata.num_rows, 1) for size in (decoded, text))
    chunk = min(CHUNK_ROWS * of_row, CHUNK_BYTES + READ_ROWS * of_row)
    held = min((CHUNKS_AHEAD + 1) * chunk, BYTES_AHEAD + chunk, decoded)
    if checked.plain is not None:
        held += min(decoded, ROW_GROUP_BYTES)
    added = SCORE_BYTES + (REASON_BYTES if options.reason else 0)
    scores = 0 if checked.plain else added * max(row_group_rows(checked.tree), default=0)
    return _Size(text, min(text, max(ENCODED_BYTES, of_text)), held, scores)


def _text_bytes_a_second(scorer: Scorer) -> float:
    """Return how many bytes of text all threads score per second, in a trial on sample reviews."""
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
    """Return the peak memory of this process in bytes, with the model loaded."""
    if _STATUS.exists():
        # On Linux, getrusage gives the peak of the process that started this one, if it is higher.
        fields = (line.split() for line in _STATUS.read_text("utf-8").splitlines())
        return next(int(values[0]) for name, *values in fields if name == "VmHWM:") * 1024
    try:
        import resource
    except ModuleNotFoundError:  # Windows, where only Arrow says what it took
        return int(pa.default_memory_pool().max_memory() or 0)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
