"""One Parquet file, scored: read in batches, written under another name, checked, committed."""

from __future__ import annotations

import json
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from itertools import chain, islice
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from imdb_classifier.batch.discovery import DiscoveredFile
from imdb_classifier.batch.options import ScoreOptions, Selection
from imdb_classifier.batch.outputs.provenance import existing_output, footer_digest
from imdb_classifier.batch.outputs.quarantine import Quarantine
from imdb_classifier.batch.reader import RowReader, open_rows
from imdb_classifier.batch.results import COUNTS, FileResult
from imdb_classifier.errors import (
    BadDataError,
    ColumnExistsError,
    NoInputError,
    UnreadableFileError,
    cannot_write,
    first_line,
    printable,
)
from imdb_classifier.schema import FOOTER_KEY, POSITIVE, scored_fields
from imdb_classifier.scoring.scorer import PendingProbabilities, Scorer
from imdb_classifier.scoring.text_columns import labels
from imdb_classifier.storage import storage_of
from imdb_classifier.storage.files import sha256_of
from imdb_classifier.text.batch_profile import BatchProfile
from imdb_classifier.version import __version__

BATCHES_AHEAD: Final = 16
"""Batches read while others are being scored, at the least, so that no thread waits for a row group
to be written."""
ROW_GROUP_ROWS: Final = 8_192
"""Rows of an output row group."""
WRITER_OPTIONS: Final[Mapping[str, Any]] = {
    "compression": "zstd",
    # Compliant nested types would rename the items of lists in files that call them "item".
    "use_compliant_nested_type": False,
    "write_page_checksum": True,
}


def score_file(
    file: DiscoveredFile,
    scorer: Scorer,
    options: ScoreOptions,
    selection: Selection,
    *,
    on_rows: Callable[[int], None] | None = None,
) -> FileResult:
    """Score one Parquet file; afterwards its output is complete, or as it was before.

    The output has every input column unchanged, then the label and the probability; the same rows
    in the same order. The same input, model and options give the same bytes.

    Args:
        file: The file and its output.
        scorer: The model.
        options: Columns, and rows without text.
        selection: Whether it is scored if its output exists already. Files that scoring did not
            write are never replaced.
        on_rows: Called after each batch with the number of rows more that are done.

    Raises:
        NoInputError: The input is gone.
        BadDataError: The input cannot be read, lacks the text column, has no text in it, changed
            while it was read, or has a column that an output column would overwrite.
        CannotWriteError: The output cannot be written, or exists and may not be replaced.
    """
    source = storage_of(file.source)
    on_rows = on_rows or (lambda rows: None)
    try:
        state = source.state(file.source)
        with source.reading(file.source) as copy:
            origin = {
                "model_id": scorer.bundle.model_id,
                "model_hash": scorer.bundle.model_hash,
                "options": asdict(options),
                "input_footer": footer_digest(copy),
                "input_sha256": sha256_of(Path(copy)),
                "package_version": __version__,
            }
            there = existing_output(file.target, origin, selection)
            if there == "skipped":
                return FileResult(file.name, "skipped")
            if there is not None:
                on_rows(there["rows"]["all"])
                return _result(file, "reused", there)
            footer = _write(copy, state, file, scorer, options, origin, on_rows)
    except FileNotFoundError as error:
        raise NoInputError(
            "An input file must exist.", f"{file.source} does not.", "Check the path."
        ) from error
    except OSError as error:
        raise UnreadableFileError(file.source, first_line(error)) from error
    return _result(file, "scored", footer)


def _write(
    copy: str,
    state: tuple[object, ...],
    file: DiscoveredFile,
    scorer: Scorer,
    options: ScoreOptions,
    origin: Mapping[str, Any],
    on_rows: Callable[[int], None],
) -> dict[str, Any]:
    """Read, score, write and commit one file.

    Args:
        copy: The input's name on this machine.
        state: What the input's storage said of it before any of it was read.
        file: The file and its output.
        scorer: The model.
        options: Columns, and rows without text.
        origin: What the footer says of model, options and input.
        on_rows: Called after each batch with the number of rows more that are done.

    Returns:
        The footer.
    """
    quarantine = Quarantine(file.quarantine, file.name)
    counts = dict.fromkeys(("all", *COUNTS[1:]), 0)
    profiles: list[BatchProfile] = []
    with open_rows(copy, file.source) as reader:
        path, schema = output_columns(reader, options)
        scored = _scored(
            *(reader, path, scorer, options, schema, counts, profiles, quarantine, on_rows)
        )
        # A file that is refused at its beginning should not leave so much as a folder.
        groups = _row_groups(scored)
        groups = chain(list(islice(groups, 1)), groups)
        try:
            with storage_of(file.target).writing(file.target) as unfinished:
                with (
                    pa.OSFile(os.fsencode(unfinished), "wb") as sink,
                    pq.ParquetWriter(sink, schema, **WRITER_OPTIONS) as writer,
                ):
                    for group in groups:
                        writer.write_table(group)
                    profile = sum(profiles, BatchProfile()).to_dict()
                    footer = {**origin, "rows": counts, "profile": profile}
                    writer.add_key_value_metadata({FOOTER_KEY: json.dumps(footer, sort_keys=True)})
                _check_source(file.source, state)
                _check_rows(unfinished, reader.rows, counts, options)
                if options.quarantine:
                    quarantine.commit()
        except OSError as error:
            raise cannot_write(file.target, error) from error
    return footer


def output_columns(reader: RowReader, options: ScoreOptions) -> tuple[list[str], pa.Schema]:
    """Where a file's text is, see `RowReader.text_path`, and the schema of its output.

    Raises:
        BadDataError: The file lacks the text column, has no text in it, or has a column that an
            output column would overwrite.
    """
    path = reader.text_path(options.text_column)
    fields = scored_fields(options.prefix)
    taken = [field.name for field in fields if field.name in reader.schema.names]
    if taken:
        raise ColumnExistsError(taken, reader.name, "--prefix")
    return path, pa.schema([*reader.schema, *fields], metadata=reader.schema.metadata)


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
    file: DiscoveredFile, status: Literal["scored", "reused"], footer: Mapping[str, Any]
) -> FileResult:
    rows = footer["rows"]
    return FileResult(
        name=file.name,
        status=status,
        rows=rows["all"],
        positive=rows["positive"],
        negative=rows["negative"],
        without_text=rows["without_text"],
        truncated=rows["truncated"],
        output=printable(file.target),
    )
