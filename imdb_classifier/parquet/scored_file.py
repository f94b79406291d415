"""One Parquet file, scored: read in batches, written under a temporary name, checked, renamed."""

from __future__ import annotations

import glob
import json
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from imdb_classifier import __version__
from imdb_classifier.errors import (
    AmbiguousColumnError,
    BadDataError,
    CannotWriteError,
    ColumnExistsError,
    MissingColumnError,
    NoInputError,
    OutputExistsError,
    UnreadableFileError,
)
from imdb_classifier.files import flush, sha256_of
from imdb_classifier.parquet.plan import PlannedFile
from imdb_classifier.schema import (
    DEFAULT_PREFIX,
    FOOTER_KEY,
    POSITIVE,
    TEXT,
    scored_fields,
)
from imdb_classifier.scoring import (
    CHUNK_ROWS,
    PendingProbabilities,
    Scorer,
    as_text,
    labels,
)

BATCHES_AHEAD: Final = 16
"""Batches read while others are being scored, at the least, so that no thread waits for a row group
to be written."""
ROW_GROUP_ROWS: Final = 8_192
"""Rows of an output row group."""
READ_BUFFER_BYTES: Final = 1 << 20
WRITER_OPTIONS: Final[Mapping[str, Any]] = {
    "compression": "zstd",
    # Compliant nested types would rename the items of lists in files that call them "item".
    "use_compliant_nested_type": False,
    "write_page_checksum": True,
}


@dataclass(frozen=True)
class ScoreOptions:
    """What decides an output besides the model and the input.

    Attributes:
        text_column: The column that holds the text.
        prefix: What the names of the two new columns begin with.
    """

    text_column: str = TEXT
    prefix: str = DEFAULT_PREFIX


@dataclass(frozen=True)
class FileResult:
    """What became of one file.

    Attributes:
        name: Its path relative to the input.
        status: ``scored``; ``reused`` when a finished output of the same model, options and input
            was there already; ``failed``.
        rows: Rows in it, and in its output.
        positive: Rows labelled positive.
        negative: Rows labelled negative.
        without_text: Rows whose text was null, empty or blank; their label is null.
        output: Its output, or None when it failed.
        error: Why it failed, else None.
        exit_code: The exit code for that, else 0.
    """

    name: str
    status: Literal["scored", "reused", "failed"]
    rows: int = 0
    positive: int = 0
    negative: int = 0
    without_text: int = 0
    output: str | None = None
    error: str | None = None
    exit_code: int = 0


def score_file(
    planned: PlannedFile,
    scorer: Scorer,
    options: ScoreOptions,
    *,
    force: bool = False,
    on_rows: Callable[[int], None] | None = None,
) -> FileResult:
    """Score one Parquet file; afterwards its output is complete, or as it was before.

    The output has every input column unchanged, then the label and the probability; the same rows
    in the same order. The same input, model and options give the same bytes.

    Args:
        planned: The file and its output.
        scorer: The model.
        options: Column names.
        force: Replace an output that an older model or input gave. Other files are never replaced.
        on_rows: Told after each batch how many rows more are done.

    Raises:
        NoInputError: The input is gone.
        BadDataError: The input cannot be read, lacks the text column, has no text in it, changed
            while it was read, or has a column that an output column would overwrite.
        CannotWriteError: The output cannot be written, or exists and may not be replaced.
    """
    source, target = planned.source, planned.target
    on_rows = on_rows or (lambda rows: None)
    identity = _identity(source)
    origin = {
        "model_id": scorer.bundle.model_id,
        "model_hash": scorer.bundle.model_hash,
        "options": asdict(options),
        "input_sha256": _fingerprint(source),
        "package_version": __version__,
    }
    footer = _finished(target, origin, force)
    if footer is not None:
        on_rows(footer["rows"]["all"])
        return _result(planned, "reused", footer)

    schema = _output_schema(source, options)
    counts = {"all": 0, "positive": 0, "negative": 0, "without_text": 0}
    unfinished = _unfinished(target)
    try:
        with pq.ParquetWriter(unfinished, schema, **WRITER_OPTIONS) as writer:
            scored = _scored(read_batches(source), scorer, options, schema, str(source))
            for group in _row_groups(scored):
                _count(group.column(group.num_columns - 2), counts)
                writer.write_table(group)
                on_rows(group.num_rows)
            footer = {**origin, "rows": counts}
            writer.add_key_value_metadata({FOOTER_KEY: json.dumps(footer, sort_keys=True)})
        if _identity(source) != identity:
            raise BadDataError(
                f"{source} must not change while it is scored.",
                "It did.",
                "Run it again once the file is complete.",
            )
        _check(unfinished, footer)
        os.replace(unfinished, target)
        flush(target.parent)
    except OSError as error:
        raise cannot_write(target, error) from error
    finally:
        unfinished.unlink(missing_ok=True)
    return _result(planned, "scored", footer)


def read_footer(path: Path) -> dict[str, Any] | None:
    """What scoring wrote into a file's footer, or None where it did not write that file.

    Args:
        path: A file; if it is not Parquet, it was not written by scoring.
    """
    try:
        metadata = pq.read_metadata(path).metadata or {}
        footer = json.loads(metadata.get(FOOTER_KEY, b"null"))
    except (OSError, ValueError, pa.ArrowException):
        return None
    return footer if isinstance(footer, dict) and "rows" in footer else None


def _fingerprint(source: Path) -> str:
    try:
        return sha256_of(source)
    except FileNotFoundError as error:
        raise NoInputError(
            "An input file must exist.", f"{source} does not.", "Check the path."
        ) from error
    except OSError as error:
        raise UnreadableFileError(str(source), error.strerror or "input/output error") from error


def _identity(source: Path) -> tuple[int, int, int] | None:
    try:
        stat = source.stat()
    except OSError:
        return None
    return stat.st_ino, stat.st_size, stat.st_mtime_ns


def _finished(target: Path, origin: dict[str, Any], force: bool) -> dict[str, Any] | None:
    """The footer of an output that need not be written again, or None where it must be.

    Raises:
        OutputExistsError: The output exists and may not be replaced.
    """
    if not target.exists():
        return None
    footer = read_footer(target)
    if footer is None:
        raise OutputExistsError(
            str(target), "imdb-classifier did not write it", "Name another OUTPUT."
        )
    # A newer release of the package gives the same scores from the same model.
    changed = [
        key for key in ("model_hash", "options", "input_sha256") if footer.get(key) != origin[key]
    ]
    if not changed:
        return footer
    if force:
        return None
    came_from = {
        "model_hash": f"another model ({footer.get('model_id')})",
        "options": "other options",
        "input_sha256": "an older state of the input",
    }
    raise OutputExistsError(
        str(target),
        f"it was scored from {' and '.join(came_from[key] for key in changed)}",
        "Replace it with --force, or name another OUTPUT.",
    )


def _open(source: Path) -> pq.ParquetFile:
    # Checksums: damaged pages read as good data otherwise. A buffer and no pre-buffering: a column
    # of a huge row group is held in memory whole otherwise.
    return pq.ParquetFile(
        source, page_checksum_verification=True, pre_buffer=False, buffer_size=READ_BUFFER_BYTES
    )


def _output_schema(source: Path, options: ScoreOptions) -> pa.Schema:
    try:
        with _open(source) as file:
            schema = file.schema_arrow
    except (OSError, pa.ArrowException) as error:
        raise UnreadableFileError(str(source), _first_line(error)) from error
    found = len(schema.get_all_field_indices(options.text_column))
    if found == 0:
        raise MissingColumnError(options.text_column, str(source), schema.names, "--text-column")
    if found > 1:
        raise AmbiguousColumnError(options.text_column, str(source), found, "--text-column")
    fields = scored_fields(options.prefix)
    taken = [field.name for field in fields if field.name in schema.names]
    if taken:
        raise ColumnExistsError(taken, str(source), "--prefix")
    return pa.schema([*schema, *fields], metadata=schema.metadata)


def read_batches(source: Path) -> Iterator[pa.RecordBatch]:
    """The rows of a file in batches of `CHUNK_ROWS`, as they are scored.

    Raises:
        UnreadableFileError: The file is damaged or gone.
    """
    try:
        with _open(source) as file:
            yield from file.iter_batches(batch_size=CHUNK_ROWS)
    except (OSError, pa.ArrowException) as error:
        raise UnreadableFileError(str(source), _first_line(error)) from error


def _scored(
    batches: Iterable[pa.RecordBatch],
    scorer: Scorer,
    options: ScoreOptions,
    schema: pa.Schema,
    source: str,
) -> Iterator[pa.RecordBatch]:
    """The batches with their labels and probabilities; some of them are on their way meanwhile."""
    ahead = max(BATCHES_AHEAD, 2 * scorer.threads)
    begun: deque[tuple[pa.RecordBatch, PendingProbabilities]] = deque()

    def finished() -> pa.RecordBatch:
        batch, pending = begun.popleft()
        probabilities = pending.result()
        return pa.RecordBatch.from_arrays(
            [*batch.columns, labels(probabilities), probabilities], schema=schema
        )

    for batch in batches:
        texts = as_text(batch.column(options.text_column), options.text_column, source)
        begun.append((batch, scorer.start(texts)))
        if len(begun) > ahead:
            yield finished()
    while begun:
        yield finished()


def _row_groups(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """The rows of the batches in tables of `ROW_GROUP_ROWS`; the last one may be smaller."""
    waiting: list[pa.RecordBatch] = []
    rows = 0
    for batch in batches:
        waiting.append(batch)
        rows += batch.num_rows
        if rows >= ROW_GROUP_ROWS:
            table = pa.Table.from_batches(waiting)
            yield table.slice(0, ROW_GROUP_ROWS)
            waiting = table.slice(ROW_GROUP_ROWS).to_batches()
            rows -= ROW_GROUP_ROWS
    if rows:
        yield pa.Table.from_batches(waiting)


def _count(label_column: pa.ChunkedArray, counts: dict[str, int]) -> None:
    without_text = label_column.null_count
    positive = pc.sum(pc.equal(label_column, POSITIVE)).as_py() or 0
    counts["all"] += len(label_column)
    counts["positive"] += positive
    counts["negative"] += len(label_column) - without_text - positive
    counts["without_text"] += without_text


def _unfinished(target: Path) -> Path:
    """A name beside the target that readers of Parquet folders leave out, with its folder made.

    What runs that were killed left there under such a name is removed.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        for leftover in target.parent.glob(f".{glob.escape(target.name)}.*.unfinished"):
            process_id = leftover.name.split(".")[-2]
            if process_id.isdecimal() and not _is_running(int(process_id)):
                leftover.unlink(missing_ok=True)
    except OSError as error:
        raise cannot_write(target, error) from error
    return target.with_name(f".{target.name}.{os.getpid()}.unfinished")


def _is_running(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True


def _check(unfinished: Path, footer: dict[str, Any]) -> None:
    """Flush what was written, then make sure that it can be read and holds every row."""
    flush(unfinished)
    written = pq.read_metadata(unfinished)
    counts = footer["rows"]
    labelled = counts["positive"] + counts["negative"]
    if not written.num_rows == counts["all"] == labelled + counts["without_text"]:
        raise OSError(f"{written.num_rows} rows were written, {counts['all']} were read")


def cannot_write(target: Path, error: OSError) -> CannotWriteError:
    """The error that says what an operating system's error means for an output."""
    return CannotWriteError(
        "The output must be writable.",
        f"Writing {target} failed: {error.strerror or error}.",
        "Free some space, or name another OUTPUT.",
    )


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")


def _result(
    planned: PlannedFile, status: Literal["scored", "reused"], footer: dict[str, Any]
) -> FileResult:
    rows = footer["rows"]
    return FileResult(
        name=planned.name,
        status=status,
        rows=rows["all"],
        positive=rows["positive"],
        negative=rows["negative"],
        without_text=rows["without_text"],
        output=str(planned.target),
    )
