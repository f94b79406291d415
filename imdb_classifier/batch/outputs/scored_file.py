"""One Parquet file, scored: written under another name, checked, committed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from imdb_classifier.batch.inputs.discovery import DiscoveredFile
from imdb_classifier.batch.inputs.reader import CheckedInput, RowReader, check_input, open_rows
from imdb_classifier.batch.options import ScoreOptions
from imdb_classifier.batch.outputs.appended_copy import AppendedCopy
from imdb_classifier.batch.outputs.provenance import (
    changes,
    foreign,
    origin,
    provenance_in,
    read_provenance,
)
from imdb_classifier.batch.outputs.quarantine import Quarantine
from imdb_classifier.batch.outputs.rewritten_copy import RewrittenCopy
from imdb_classifier.batch.outputs.scored_rows import ScoredRows, score_rows
from imdb_classifier.batch.parquet_footer.file_footer import FileFooter
from imdb_classifier.batch.results import COUNTS, FileResult
from imdb_classifier.batch.units import FileToScore
from imdb_classifier.errors import (
    BadDataError,
    NoInputError,
    UnavailableError,
    UnreadableFileError,
    first_line,
    printable,
)
from imdb_classifier.schema import NEGATIVE, POSITIVE, scored_fields
from imdb_classifier.scoring.scorer import Scorer
from imdb_classifier.scoring.text_columns import count_of
from imdb_classifier.storage import ABSENT, State, readable, storage_of
from imdb_classifier.system_errors import cannot_read, cannot_write
from imdb_classifier.text.batch_profile import BatchProfile
from imdb_classifier.version import __version__


def score_file(
    file: FileToScore,
    scorer: Scorer,
    options: ScoreOptions,
    *,
    on_rows: Callable[[int], None] | None = None,
) -> tuple[FileResult, BatchProfile]:
    """Score one Parquet file; afterwards its output is complete, or as it was before.

    The output is the input's bytes up to its footer, the chunks of the label and the probability,
    and a footer of all columns. If columns are chosen, only their chunks are copied. Where rows are
    left out, the file is written anew. The same input, model and options give the same bytes.

    Args:
        file: The file and its output.
        scorer: The model.
        options: Columns, and rows without text.
        on_rows: Called after each batch with the number of rows done since the last call.

    Returns:
        What happened to it, and what its texts look like.

    Raises:
        NoInputError: The input is gone.
        UnavailableError: The input cannot be reached, or changed while it was read.
        BadDataError: The input cannot be read, lacks the text column, has no text in it, or has a
            column or a Hive partition that an output column would overwrite.
        CannotWriteError: The output cannot be written.
    """
    source = file.file.source
    try:
        state = storage_of(source).state(source)
    except OSError as error:
        raise cannot_read(source, error) from error
    if state == ABSENT:
        raise NoInputError("An input file must exist.", f"{source} does not.", "Check the path.")
    try:
        return _score(file, state, scorer, options, on_rows or (lambda rows: None))
    except BadDataError:
        _check_source(source, state)  # What another program is still writing is not bad.
        raise


def _score(
    file: FileToScore,
    state: State,
    scorer: Scorer,
    options: ScoreOptions,
    on_rows: Callable[[int], None],
) -> tuple[FileResult, BatchProfile]:
    """Score a file whose input is in this state, see `score_file`."""
    source, target = file.file.source, file.file.target
    footer = FileFooter.read(source)
    checked = check_input(footer, file.file.name, options)
    made_from = origin(footer, scorer.bundle.model_hash, options)
    replaced = ABSENT
    if file.replaces:
        replaced = _state_of_output(target)
    elif (there := _own_output(target)) is not None and not changes(there[0], made_from):
        # A worker that died wrote it before this run's unit was given to another one.
        provenance, digest = there
        on_rows(provenance["rows"]["all"])
        result = result_of_output(file.file, "scored", provenance, digest)
        return result, BatchProfile.from_dict(provenance["profile"])
    quarantine = Quarantine(file.file.quarantine, file.file.name) if options.quarantine else None
    try:
        with (
            storage_of(target).writing(target, replaced) as unfinished,
            quarantine or nullcontext(),
        ):
            tally = _Tally(source, options, quarantine, on_rows)
            with _copy_of(source, checked, unfinished, options) as (reader, copy):
                others = options.columns if isinstance(copy, RewrittenCopy) else ()
                for rows in score_rows(reader, checked.path, scorer, others, options):
                    tally.add(rows)
                    copy.write(rows)
                provenance = copy.finish(
                    {
                        **made_from,
                        "model_id": scorer.bundle.model_id,
                        "package_version": __version__,
                        "rows": tally.counts,
                        "profile": tally.profile.to_dict(),
                    }
                )
            _check_source(source, state)
            written = FileFooter.read(unfinished, target)
            _check_rows(unfinished, written, tally.counts, options)
    except OSError as error:
        raise cannot_write(target, error) from error
    result = result_of_output(file.file, "scored", provenance, written.digest)
    return result, tally.profile


def result_of_output(
    file: DiscoveredFile,
    status: Literal["scored", "reused"],
    provenance: Mapping[str, Any],
    footer_digest: str,
) -> FileResult:
    """Return the result of a file whose output is up to date.

    Args:
        file: The file and its output.
        status: Whether this run scored it.
        provenance: What the output's footer says.
        footer_digest: The digest of that footer.
    """
    rows = provenance["rows"]
    return FileResult(
        name=file.name,
        status=status,
        rows=rows["all"],
        positive=rows["positive"],
        negative=rows["negative"],
        without_text=rows["without_text"],
        truncated=rows["truncated"],
        output=printable(file.target),
        footer_digest=footer_digest,
    )


def _state_of_output(target: str) -> State:
    """Return the state of an output that is to be replaced.

    Raises:
        OutputExistsError: Another program has replaced it meanwhile.
        CannotWriteError: It cannot be accessed.
    """
    try:
        state = storage_of(target).state(target)
    except OSError as error:
        raise cannot_write(target, error) from error
    if state != ABSENT and read_provenance(target) is None:
        raise foreign(target)
    return state


def _own_output(target: str) -> tuple[dict[str, Any], str] | None:
    """Return an existing output's provenance and the digest of its footer; None if not ours."""
    try:
        footer = FileFooter.read(target)
        provenance = provenance_in(footer)
    except (NoInputError, UnreadableFileError):
        return None
    return None if provenance is None else (provenance, footer.digest)


@contextmanager
def _copy_of(
    source: str, checked: CheckedInput, unfinished: str, options: ScoreOptions
) -> Iterator[tuple[RowReader, AppendedCopy | RewrittenCopy]]:
    """The rows of an input, and the copy that they are written to."""
    fields = scored_fields(options.prefix, options.reason)
    copy: AppendedCopy | RewrittenCopy
    footer, metadata = checked.footer, None
    with ExitStack() as opened:
        if checked.plain is not None:
            with readable(source):
                path = opened.enter_context(storage_of(source).reading(source))
            metadata = checked.plain.metadata
            copy = opened.enter_context(
                RewrittenCopy(unfinished, path, checked, checked.plain, fields, options.columns)
            )
        else:
            with readable(source):
                stream = opened.enter_context(storage_of(source).open(source))
            copy = opened.enter_context(
                AppendedCopy(unfinished, stream, checked, fields, options.columns)
            )
            if options.columns is None or checked.path[0] in options.columns:
                # The text is read once: what is scored are the very bytes that the output holds.
                path, footer = unfinished, copy.copied
            else:
                path = source
        yield opened.enter_context(open_rows(path, footer, metadata)), copy


class _Tally:
    """What the rows of one file come to."""

    def __init__(
        self,
        source: str,
        options: ScoreOptions,
        quarantine: Quarantine | None,
        on_rows: Callable[[int], None],
    ) -> None:
        self.counts = dict.fromkeys(("all", *COUNTS[1:]), 0)
        self.profile = BatchProfile()
        self._source = source
        self._options = options
        self._quarantine = quarantine
        self._on_rows = on_rows

    def add(self, rows: ScoredRows) -> None:
        without_text = np.flatnonzero(rows.probabilities.is_null().to_numpy(zero_copy_only=False))
        if len(without_text):
            numbers = rows.chunk.first_row + without_text
            if self._options.on_null == "error":
                raise BadDataError(
                    "With `on_null=error`, every row must have a text.",
                    f"Row {numbers[0]} of {self._source} has none.",
                    "Mend it, or use `on_null=label` or `on_null=skip`.",
                )
            if self._quarantine is not None:
                self._quarantine.add_rows(numbers, rows.chunk.texts.take(without_text))
        self.counts["all"] += len(rows.labels)
        for label in (POSITIVE, NEGATIVE):
            self.counts[label] += count_of(rows.labels, label)
        self.counts["without_text"] += len(without_text)
        self.counts["truncated"] += rows.profile.truncated
        self.profile += rows.profile
        self._on_rows(len(rows.labels))


def _check_source(source: str, state: State) -> None:
    """Make sure that an input is still what it was when it was opened."""
    try:
        if storage_of(source).state(source) == state:
            return
    except OSError as error:
        raise cannot_read(source, error) from error
    raise UnavailableError(
        f"{source} must not change while it is scored.",
        "It did.",
        "Run it again once the file is complete.",
    )


def _check_rows(
    unfinished: str, footer: FileFooter, counts: Mapping[str, int], options: ScoreOptions
) -> None:
    """Make sure that the new columns can be read again, and that every row is accounted for."""
    names = [field.name for field in scored_fields(options.prefix)]
    written = dict.fromkeys(("positive", "negative", "without_text"), 0)
    try:
        with (
            pa.OSFile(os.fsencode(unfinished)) as stream,
            pq.ParquetFile(
                stream, metadata=footer.metadata, page_checksum_verification=True, pre_buffer=False
            ) as file,
        ):
            for batch in file.iter_batches(columns=names, use_threads=False):
                labels, probabilities = (batch.column(name) for name in names)
                for label in (POSITIVE, NEGATIVE):
                    written[label] += count_of(labels, label)
                written["without_text"] += probabilities.null_count
            rows = file.metadata.num_rows
    except pa.ArrowException as error:
        raise OSError(f"the new columns cannot be read back: {first_line(error)}") from error
    expected = {name: counts[name] for name in written}
    if options.on_null == "skip":
        expected["without_text"] = 0
    rows_expected = counts["all"] - counts["without_text"] + expected["without_text"]
    if written != expected or rows != rows_expected:
        labels_written, labels_expected = (
            of["positive"] + of["negative"] for of in (written, expected)
        )
        raise OSError(
            f"{rows:,} rows with {labels_written:,} labels were written in place of "
            f"{rows_expected:,} rows with {labels_expected:,} labels"
        )
