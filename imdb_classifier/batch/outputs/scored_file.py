"""One Parquet file, scored: read in batches, written under another name, checked, committed."""

from __future__ import annotations

import json
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from imdb_classifier.batch.discovery import PlannedFile
from imdb_classifier.batch.outputs.provenance import Selection, finished, footer_digest
from imdb_classifier.batch.outputs.quarantine import Quarantine
from imdb_classifier.batch.reader import RowReader, open_rows
from imdb_classifier.batch.wording import cannot_write
from imdb_classifier.errors import (
    BadDataError,
    ColumnExistsError,
    NoInputError,
    UnreadableFileError,
    first_line,
    printable,
)
from imdb_classifier.schema import DEFAULT_PREFIX, FOOTER_KEY, POSITIVE, TEXT, scored_fields
from imdb_classifier.scoring.scorer import PendingProbabilities, Scorer
from imdb_classifier.scoring.text_columns import labels
from imdb_classifier.storage import storage_of
from imdb_classifier.storage.files import sha256_of
from imdb_classifier.text.batch_profile import BatchProfile
from imdb_classifier.version import __version__

BATCHES_AHEAD: Final = 16
"""Batches read while others are being scored, at the least, so that no thread waits for a row group
to be written."""
COUNTS: Final = ("rows", "positive", "negative", "without_text", "truncated")
"""What is counted of each file, see `FileResult`."""
ROW_GROUP_ROWS: Final = 8_192
"""Rows of an output row group."""
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
        text_column: The column that holds the text, or the path to a field of a struct, with dots.
        prefix: What the names of the two new columns begin with.
        on_null: What becomes of rows whose text is null, empty or blank: ``label`` keeps them with
            nulls, ``skip`` leaves them out, ``error`` refuses the file.
        quarantine: Whether they are listed below ``_quarantine`` in the output.
    """

    text_column: str = TEXT
    prefix: str = DEFAULT_PREFIX
    on_null: Literal["label", "skip", "error"] = "label"
    quarantine: bool = False


@dataclass(frozen=True)
class FileResult:
    """What became of one file.

    Attributes:
        name: Its path relative to the input.
        status: ``scored``; ``reused`` when a finished output of the same model, options and input
            was there already; ``left`` for another run, being not asked for or too late; or
            ``failed``.
        rows: Rows in it.
        positive: Rows labelled positive.
        negative: Rows labelled negative.
        without_text: Rows whose text was null, empty or blank.
        truncated: Rows whose text is longer than the model reads, so that only its end was read.
        output: Its output, or None when it was left or failed.
        error: Why it failed, else None.
        exit_code: The exit code for that, else 0.
    """

    name: str
    status: Literal["scored", "reused", "left", "failed"]
    rows: int = 0
    positive: int = 0
    negative: int = 0
    without_text: int = 0
    truncated: int = 0
    output: str | None = None
    error: str | None = None
    exit_code: int = 0


def score_file(
    planned: PlannedFile,
    scorer: Scorer,
    options: ScoreOptions,
    *,
    selection: Selection | None = None,
    on_rows: Callable[[int], None] | None = None,
) -> FileResult:
    """Score one Parquet file; afterwards its output is complete, or as it was before.

    The output has every input column unchanged, then the label and the probability; the same rows
    in the same order. The same input, model and options give the same bytes.

    Args:
        planned: The file and its output.
        scorer: The model.
        options: Columns, and rows without text.
        selection: Whether it is asked for where there is an output already. Files that scoring did
            not write are never replaced.
        on_rows: Told after each batch how many rows more are done.

    Raises:
        NoInputError: The input is gone.
        BadDataError: The input cannot be read, lacks the text column, has no text in it, changed
            while it was read, or has a column that an output column would overwrite.
        CannotWriteError: The output cannot be written, or exists and may not be replaced.
    """
    source = storage_of(planned.source)
    on_rows = on_rows or (lambda rows: None)
    try:
        state = source.state(planned.source)
        with source.reading(planned.source) as copy:
            origin = {
                "model_id": scorer.bundle.model_id,
                "model_hash": scorer.bundle.model_hash,
                "options": asdict(options),
                "input_footer": footer_digest(copy),
                "input_sha256": sha256_of(Path(copy)),
                "package_version": __version__,
            }
            there = finished(planned.target, origin, selection or Selection())
            if there == "left":
                return FileResult(planned.name, "left")
            if there is not None:
                on_rows(there["rows"]["all"])
                return _result(planned, "reused", there)
            footer = _write(copy, state, planned, scorer, options, origin, on_rows)
    except FileNotFoundError as error:
        raise NoInputError(
            "An input file must exist.", f"{planned.source} does not.", "Check the path."
        ) from error
    except OSError as error:
        raise UnreadableFileError(planned.source, first_line(error)) from error
    return _result(planned, "scored", footer)


def _write(
    copy: str,
    state: tuple[object, ...],
    planned: PlannedFile,
    scorer: Scorer,
    options: ScoreOptions,
    origin: Mapping[str, Any],
    on_rows: Callable[[int], None],
) -> dict[str, Any]:
    """Read, score, write and commit one file.

    Args:
        copy: The input's name on this machine.
        state: What the input's storage said of it before any of it was read.
        planned: The file and its output.
        scorer: The model.
        options: Columns, and rows without text.
        origin: What the footer says of model, options and input.
        on_rows: Told after each batch how many rows more are done.

    Returns:
        The footer.
    """
    quarantine = Quarantine(planned.quarantine, planned.name)
    counts = dict.fromkeys(("all", *COUNTS[1:]), 0)
    profiles: list[BatchProfile] = []
    with open_rows(copy, planned.source) as reader:
        path = reader.text_path(options.text_column)
        schema = _output_schema(reader, options)
        scored = _scored(
            *(reader, path, scorer, options, schema, counts, profiles, quarantine, on_rows)
        )
        # A file that is refused at its beginning should not leave so much as a folder.
        groups = _row_groups(scored)
        groups = chain(list(islice(groups, 1)), groups)
        try:
            with storage_of(planned.target).writing(planned.target) as unfinished:
                with (
                    pa.OSFile(os.fsencode(unfinished), "wb") as sink,
                    pq.ParquetWriter(sink, schema, **WRITER_OPTIONS) as writer,
                ):
                    for group in groups:
                        writer.write_table(group)
                    profile = sum(profiles, BatchProfile()).to_dict()
                    footer = {**origin, "rows": counts, "profile": profile}
                    writer.add_key_value_metadata({FOOTER_KEY: json.dumps(footer, sort_keys=True)})
                _check_source(planned.source, state)
                _check_rows(unfinished, reader.rows, counts, options)
                if options.quarantine:
                    quarantine.commit()
        except OSError as error:
            raise cannot_write(planned.target, error) from error
    return footer


def _output_schema(reader: RowReader, options: ScoreOptions) -> pa.Schema:
    fields = scored_fields(options.prefix)
    taken = [field.name for field in fields if field.name in reader.schema.names]
    if taken:
        raise ColumnExistsError(taken, reader.name, "--prefix")
    return pa.schema([*reader.schema, *fields], metadata=reader.schema.metadata)


def _scored(
    reader: RowReader,
    path: Sequence[str],
    scorer: Scorer,
    options: ScoreOptions,
    schema: pa.Schema,
    counts: dict[str, int],
    profiles: list[BatchProfile],
    quarantine: Quarantine,
    on_rows: Callable[[int], None],
) -> Iterator[pa.RecordBatch]:
    """A file's batches with labels and probabilities; some of them are on their way meanwhile."""
    ahead = max(BATCHES_AHEAD, 2 * scorer.threads)
    begun: deque[tuple[pa.RecordBatch, pa.Array, PendingProbabilities]] = deque()

    def finish() -> pa.RecordBatch:
        batch, texts, pending = begun.popleft()
        probabilities = pending.result()
        without_text = np.flatnonzero(probabilities.is_null().to_numpy(zero_copy_only=False))
        if len(without_text):
            rows = counts["all"] + without_text
            if options.on_null == "error":
                raise BadDataError(
                    "With --on-null error, every row must have a text.",
                    f"Row {rows[0]} of {reader.name} has none.",
                    "Mend it, or choose --on-null label or --on-null skip.",
                )
            quarantine.add_rows(rows, texts.take(without_text))
        named = labels(probabilities)
        counts["all"] += len(named)
        counts["positive"] += (positive := pc.sum(pc.equal(named, POSITIVE)).as_py() or 0)
        counts["negative"] += len(named) - len(without_text) - positive
        counts["without_text"] += len(without_text)
        profiles.append(pending.profile())
        counts["truncated"] += profiles[-1].truncated
        on_rows(len(named))
        scored = pa.RecordBatch.from_arrays([*batch.columns, named, probabilities], schema=schema)
        return scored.filter(probabilities.is_valid()) if options.on_null == "skip" else scored

    begins = 0
    for batch in reader.batches():
        texts = reader.texts(batch, path, begins)
        begins += batch.num_rows
        begun.append((batch, texts, scorer.start(texts)))
        if len(begun) > ahead:
            yield finish()
    while begun:
        yield finish()


def _row_groups(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """The rows of the batches in tables of `ROW_GROUP_ROWS`.

    Only the last one is smaller, and one behind which a column's dictionary changes that is too
    narrow to be put together with the next one.
    """
    waiting: list[pa.RecordBatch] = []
    rows = 0
    for batch in batches:
        if waiting and not _go_together(waiting[-1], batch):
            yield pa.Table.from_batches(waiting)
            waiting, rows = [], 0
        waiting.append(batch)
        rows += batch.num_rows
        if rows >= ROW_GROUP_ROWS:
            table = pa.Table.from_batches(waiting)
            yield table.slice(0, ROW_GROUP_ROWS)
            waiting = table.slice(ROW_GROUP_ROWS).to_batches()
            rows -= ROW_GROUP_ROWS
    if rows:
        yield pa.Table.from_batches(waiting)


def _go_together(one: pa.RecordBatch, other: pa.RecordBatch) -> bool:
    """Whether the dictionaries of narrow columns are the same, so that none can overflow."""
    return all(
        before.dictionary.equals(after.dictionary)
        for before, after in zip(one.columns, other.columns, strict=True)
        if pa.types.is_dictionary(before.type) and before.type.index_type.bit_width < 32
    )


def _check_source(source: str, state: tuple[object, ...]) -> None:
    """Make sure that an input is still what it was when it was opened."""
    with suppress(FileNotFoundError):
        if storage_of(source).state(source) == state:
            return
    raise BadDataError(
        f"{source} must not change while it is scored.",
        "It did.",
        "Run it again once the file is complete.",
    )


def _check_rows(
    unfinished: str, read: int, counts: Mapping[str, int], options: ScoreOptions
) -> None:
    """Make sure that what was written can be read again, and that every row is accounted for."""
    written = pq.read_metadata(pa.OSFile(os.fsencode(unfinished))).num_rows
    labelled = counts["positive"] + counts["negative"]
    kept = labelled if options.on_null == "skip" else labelled + counts["without_text"]
    if not (written == kept and read == counts["all"] == labelled + counts["without_text"]):
        raise OSError(f"{written} rows were written of {counts['all']}, and the file has {read}")


def _result(
    planned: PlannedFile, status: Literal["scored", "reused"], footer: Mapping[str, Any]
) -> FileResult:
    rows = footer["rows"]
    return FileResult(
        name=planned.name,
        status=status,
        rows=rows["all"],
        positive=rows["positive"],
        negative=rows["negative"],
        without_text=rows["without_text"],
        truncated=rows["truncated"],
        output=printable(planned.target),
    )
