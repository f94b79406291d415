"""Drawing rows of scored files to label, into a Parquet file to fill in."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from imdb_classifier.batch.inputs.discovery import find_files
from imdb_classifier.batch.inputs.reader import open_rows, text_path
from imdb_classifier.batch.options import ScoreOptions
from imdb_classifier.batch.outputs.provenance import provenance_in
from imdb_classifier.batch.parquet_footer.file_footer import FileFooter
from imdb_classifier.errors import BadDataError, CannotWriteError, MissingColumnError
from imdb_classifier.sampling.sample_options import SampleOptions
from imdb_classifier.sampling.strata import (
    LOWEST_CONFIDENCES,
    allocate,
    allocate_for,
    expected,
    strata_of,
)
from imdb_classifier.schema import LABEL, NEGATIVE, POSITIVE, TEXT, confidences, scored_fields
from imdb_classifier.storage import ABSENT, storage_of
from imdb_classifier.storage.paths import StrPath, location_of
from imdb_classifier.system_errors import cannot_write

STRATUM: Final = "stratum"
STRATUM_ROWS: Final = "stratum_rows"
ALL_ROWS: Final = "all_rows"
SAMPLE_SCHEMA: Final = pa.schema(
    {
        TEXT: pa.string(),
        LABEL: pa.int8(),
        "weight": pa.float64(),
        STRATUM: pa.int8(),
        STRATUM_ROWS: pa.int64(),
        ALL_ROWS: pa.int64(),
        "file": pa.string(),
        "row": pa.int64(),
    }
)
"""The columns of the file to fill in: `label` is null and to become 0 (negative) or 1 (positive);
`weight` is how many rows the row stands for."""

_DRAWN: Final = np.dtype([("key", "f8"), ("file", "i8"), ("row", "i8"), ("stratum", "i1")])


@dataclass(frozen=True)
class SampledStratum:
    """Rows of similar confidence.

    Attributes:
        stratum: Its number.
        lowest_confidence: The lowest confidence in it.
        rows: Number of its rows in the scored files.
        drawn: How many of them were drawn.
    """

    stratum: int
    lowest_confidence: float
    rows: int
    drawn: int


@dataclass(frozen=True)
class Sample:
    """Which rows were drawn from scored files.

    Attributes:
        output: The file to fill in.
        model_id: The model that scored the files.
        rows: Number of rows drawn.
        all_rows: Number of labeled rows in the scored files.
        half_width: Half width to expect of the accuracy's 95 % interval.
        strata: The strata that have rows, by confidence.
    """

    output: str
    model_id: str
    rows: int
    all_rows: int
    half_width: float
    strata: tuple[SampledStratum, ...]

    def to_dict(self) -> dict[str, Any]:
        """The result as plain JSON values."""
        return asdict(self)


def draw_sample(scored: StrPath, output: StrPath, options: SampleOptions | None = None) -> Sample:
    """Draw rows of scored files to label by hand, so that the accuracy of their labels is known.

    Rows are stratified by confidence and drawn at random in each stratum, without replacement. The
    file that is written has their text and an empty column ``label`` to fill in with 0 (negative)
    or 1 (positive), in random order; `evaluate_sample` takes it. Rows without a label, because
    they are blank or below ``at_least``, are not drawn.

    Args:
        scored: A scored Parquet file, a folder or a glob pattern.
        output: The Parquet file to write. An existing file is never replaced, because it may hold
            labels.
        options: How many rows, and the seed.

    Returns:
        What was drawn. The same files, options and versions give the same sample.

    Raises:
        BadDataError: A file was not written by imdb-classifier, or by another model than the
            others; or no row has a label.
        MissingColumnError: A file lacks the text, because its columns were chosen.
        CannotWriteError: ``output`` exists, or cannot be written.
        NoInputError: There are no such files.

    Example:
        >>> import pyarrow as pa, pyarrow.parquet as pq
        >>> from imdb_classifier import SampleOptions, draw_sample, score_parquet
        >>> texts = ["A warm and funny film.", "A dull film.", "It is long."]
        >>> pq.write_table(pa.table({"text": texts}), "reviews.parquet")
        >>> result = score_parquet("reviews.parquet", "scored.parquet")
        >>> draw_sample("scored.parquet", "to_label.parquet", SampleOptions(rows=3)).rows
        3
    """
    options = options or SampleOptions()
    target = location_of(output)
    _check_absent(target)
    files = _scored_files(scored)
    counts, sums = _count(files)
    there = np.flatnonzero(counts)
    if not len(there):
        raise BadDataError(
            "A sample needs rows with a label.",
            f"No row of {location_of(scored)} has one.",
            "Draw from other files, or score with a lower `at_least`.",
        )
    rows, confidence = counts[there], sums[there] / counts[there]
    if options.rows is None:
        allocated = allocate_for(rows, confidence, options.half_width)
    else:
        allocated = allocate(rows, confidence, min(options.rows, int(rows.sum())))
    drawn = np.zeros_like(counts)
    drawn[there] = allocated
    table = _table(files, _draw(files, drawn, options.seed), counts, drawn)
    try:
        with storage_of(target).writing(target, ABSENT) as name:
            pq.write_table(table, name)
    except OSError as error:
        raise cannot_write(target, error) from error
    return Sample(
        target,
        files[0].model_id,
        len(table),
        int(rows.sum()),
        expected(rows, confidence, len(table)),
        tuple(
            SampledStratum(int(k), LOWEST_CONFIDENCES[k], int(counts[k]), int(drawn[k]))
            for k in there
        ),
    )


@dataclass(frozen=True)
class _ScoredFile:
    """A file that a model scored, and how."""

    path: str
    name: str
    footer: FileFooter
    model_id: str
    options: ScoreOptions

    def scores(self) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        """Yield the numbers of the rows with a label, and their probabilities, in order."""
        label, probability, *_ = (field.name for field in scored_fields(self.options.prefix))
        with open_rows(self.path, self.footer) as reader:
            for chunk in reader.chunks([label], [probability]):
                named = pc.is_in(chunk.texts, pa.array([NEGATIVE, POSITIVE]))
                rows = np.flatnonzero(named.to_numpy(zero_copy_only=False))
                scores = pa.concat_arrays([batch.column(probability) for batch in chunk.batches])
                numbers = scores.to_numpy(zero_copy_only=False)[rows]
                yield chunk.first_row + rows, numbers

    def texts(self, rows: NDArray[np.int64]) -> pa.Array:
        """Return the texts of some rows, in ascending order: string, (rows,)."""
        found = [pa.array([], pa.string())]
        with open_rows(self.path, self.footer) as reader:
            for chunk in reader.chunks(text_path(self.footer, self.options.text_column)):
                end = chunk.first_row + len(chunk.texts)
                here = rows[(rows >= chunk.first_row) & (rows < end)] - chunk.first_row
                found += [chunk.texts.take(here)] if len(here) else []
        return pa.concat_arrays(found)


def _scored_files(scored: StrPath) -> list[_ScoredFile]:
    files: list[_ScoredFile] = []
    for path, name in find_files(scored):
        footer = FileFooter.read(path, name)
        provenance = provenance_in(footer)
        if provenance is None:
            raise BadDataError(
                "Samples are drawn from files that imdb-classifier scored.",
                f"{name} is not one of them.",
                "Score it first, and draw from the output.",
            )
        file = _ScoredFile(
            path, name, footer, provenance["model_id"], ScoreOptions(**provenance["options"])
        )
        if files and file.model_id != files[0].model_id:
            raise BadDataError(
                "All files of a sample must be scored by one model.",
                f"{files[0].name} was scored by {files[0].model_id}, {name} by {file.model_id}.",
                "Score the older files again, or draw from fewer files.",
            )
        if not file.options.keeps_text:
            raise MissingColumnError(
                file.options.text_column,
                name,
                footer.schema.names,
                "Score again, and list the text column in `columns`.",
            )
        files.append(file)
    return files


def _check_absent(target: str) -> None:
    try:
        if storage_of(target).kind(target) is None:
            return
    except OSError as error:
        raise cannot_write(target, error) from error
    raise CannotWriteError(
        "A sample never replaces a file, because that may hold labels.",
        f"{target} exists.",
        "Choose another `output`.",
    )


def _count(files: Sequence[_ScoredFile]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the number of rows of each stratum, and the sum of their confidence."""
    size = len(LOWEST_CONFIDENCES)
    counts, sums = np.zeros(size, np.int64), np.zeros(size)
    for file in files:
        for _, probabilities in file.scores():
            strata = strata_of(probabilities)
            counts += np.bincount(strata, minlength=size)
            sums += np.bincount(strata, confidences(probabilities), size)
    return counts, sums


def _draw(files: Sequence[_ScoredFile], drawn: NDArray[np.int64], seed: int) -> NDArray[np.void]:
    """Return the rows of each stratum with the smallest random keys, by file and row."""
    kept = np.zeros(0, _DRAWN)
    largest = np.full(len(drawn), np.inf)
    for number, file in enumerate(files):
        # A file's keys depend on its name alone, so that other files can come and go.
        digest = hashlib.sha256(file.name.encode()).digest()
        random = np.random.default_rng([seed, int.from_bytes(digest, "big")])
        for rows, probabilities in file.scores():
            new = np.zeros(len(rows), _DRAWN)
            new["key"], new["file"], new["row"] = random.random(len(rows)), number, rows
            new["stratum"] = strata_of(probabilities)
            kept = np.concatenate([kept, new[new["key"] < largest[new["stratum"]]]])
            if len(kept) > 2 * drawn.sum():
                kept, largest = _smallest(kept, drawn)
    kept, _ = _smallest(kept, drawn)
    return kept[np.lexsort((kept["row"], kept["file"]))]


def _smallest(
    kept: NDArray[np.void], drawn: NDArray[np.int64]
) -> tuple[NDArray[np.void], NDArray[np.float64]]:
    """Return the rows of each stratum with the smallest keys, and the largest key among them."""
    ordered = kept[np.lexsort((kept["key"], kept["stratum"]))]
    begins = np.searchsorted(ordered["stratum"], np.arange(len(drawn)))
    rank = np.arange(len(ordered)) - begins[ordered["stratum"]]
    ordered = ordered[rank < drawn[ordered["stratum"]]]
    largest = np.full(len(drawn), np.inf)
    for stratum, wanted in enumerate(drawn):
        keys = ordered["key"][ordered["stratum"] == stratum]
        if wanted and len(keys) == wanted:
            largest[stratum] = keys[-1]
    return ordered, largest


def _table(
    files: Sequence[_ScoredFile],
    rows: NDArray[np.void],
    counts: NDArray[np.int64],
    drawn: NDArray[np.int64],
) -> pa.Table:
    """Return the sample in random order, so that whoever stops early has labeled any rows."""
    texts = [
        files[number].texts(rows["row"][rows["file"] == number])
        for number in np.unique(rows["file"])
    ]
    strata = rows["stratum"]
    weights = counts[strata] / drawn[strata]
    values = {
        TEXT: pa.chunked_array(texts, pa.string()),
        LABEL: pa.nulls(len(rows), pa.int8()),
        "weight": weights,
        STRATUM: strata,
        STRATUM_ROWS: counts[strata],
        ALL_ROWS: np.full(len(rows), counts.sum()),
        "file": pa.array([files[number].name for number in rows["file"]], pa.string()),
        "row": rows["row"],
    }
    # The keys of a stratum are the smallest, so that they are even only beside their largest.
    order = np.argsort(rows["key"] * weights, kind="stable")
    return pa.table(values, SAMPLE_SCHEMA).take(order)
