"""Accuracy of a model on scored files, estimated from a sample that somebody labeled."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pyarrow import fs

from imdb_classifier.errors import BadDataError, MissingColumnError, counted, listed
from imdb_classifier.evaluation.result import Figure
from imdb_classifier.model.engines import EngineChoice, EngineName
from imdb_classifier.registry.access import CHAMPION
from imdb_classifier.registry.versions import Registry
from imdb_classifier.reviews.overlap import known_rows
from imdb_classifier.reviews.parquet import read_extra
from imdb_classifier.sampling.drawing import ALL_ROWS, STRATUM, STRATUM_ROWS
from imdb_classifier.sampling.strata import stratified_accuracy
from imdb_classifier.schema import LABEL, TEXT, THRESHOLD, UNLABELED
from imdb_classifier.scoring.scorer import Scorer, scorer_for
from imdb_classifier.scoring.text_columns import has_text
from imdb_classifier.storage import filesystem_of, readable
from imdb_classifier.storage.paths import StrPath, location_of

_WAY_OUT: Final = (
    "Take the file that imdb-classifier sample wrote, fill in the column label, and keep the rest."
)


@dataclass(frozen=True)
class LabeledStratum:
    """Rows of similar confidence.

    Attributes:
        stratum: Its number, as in the sample.
        rows: Number of its rows in the scored files.
        labeled: How many of them have a true label that counts.
        right: How many of these the model labels correctly.
    """

    stratum: int
    rows: int
    labeled: int
    right: int


@dataclass(frozen=True)
class SampleAccuracy:
    """The accuracy of a model on the files from which a sample was drawn.

    Attributes:
        model_id: The model.
        engine: What ran it.
        accuracy: The estimated share of right labels among all labeled rows of the files, with a
            95 % interval.
        all_rows: Number of these rows.
        labeled: Number of rows of the sample that count.
        unlabeled: Number of its rows without a true label.
        learned: Number of its rows left out because the model was trained on them.
        strata: The counts of each stratum.
    """

    model_id: str
    engine: EngineName
    accuracy: Figure
    all_rows: int
    labeled: int
    unlabeled: int
    learned: int
    strata: tuple[LabeledStratum, ...]

    def to_dict(self) -> dict[str, Any]:
        """The result as plain JSON values."""
        return asdict(self)


def evaluate_sample(
    sample: StrPath,
    model: StrPath | Scorer = CHAMPION,
    *,
    registry: Registry | None = None,
    threads: int | None = None,
    engine: EngineChoice = "auto",
) -> SampleAccuracy:
    """Estimate the accuracy of a model on scored files from a sample of them.

    It is the stratified estimate (W. G. Cochran, Sampling Techniques, 1977, chapter 5): the mean of
    the strata's accuracies, weighted by their rows. Its 95 % interval combines the Wilson intervals
    of the strata (G. Y. Zou, W. Huang, X. Zhang, Computational Statistics & Data Analysis 53, 2009,
    1080-1085).

    Rows without a label are left out, and so are those that the model was trained on; the others of
    their stratum stand for them. So label rows from the top, or all: if the rows that are difficult
    to label stay empty, the estimate is too high.

    The weights do not depend on the model, so another one can be evaluated on the same sample.

    Args:
        sample: A file that `draw_sample` wrote, with labels filled in: 0 (negative), 1 (positive);
            null or -1 where there is none. Its rows may be in any order, and some may be missing.
        model: The model: a reference or a `Scorer`, as for `score_parquet`.
        registry: Where a reference is looked up; by default `Registry.at()`.
        threads: Number of threads for a model that is a reference; see `Scorer.load`.
        engine: What runs the network of a model that is a reference; see `Scorer.load`.

    Returns:
        The estimated accuracy, and the counts that it comes from.

    Raises:
        BadDataError: The file is no such sample or damaged, has other labels, or has too few: every
            stratum needs one.
        NoInputError: There is no such file.
        ImdbClassifierError: The model cannot be loaded, see `Scorer.load`.

    Example:
        >>> import pyarrow as pa, pyarrow.parquet as pq
        >>> from imdb_classifier import draw_sample, evaluate_sample, score_parquet
        >>> texts = ["A warm and funny film.", "A dull film."]
        >>> pq.write_table(pa.table({"text": texts}), "reviews.parquet")
        >>> result = score_parquet("reviews.parquet", "scored.parquet")
        >>> sample = draw_sample("scored.parquet", "to_label.parquet")
        >>> table = pq.read_table("to_label.parquet")
        >>> labels = pa.array([int("funny" in text) for text in table["text"].to_pylist()])
        >>> pq.write_table(table.set_column(1, "label", labels), "labeled.parquet")
        >>> evaluate_sample("labeled.parquet").accuracy.value
        1.0
    """
    table = _read(location_of(sample))
    labels = table[LABEL].to_numpy()
    filled_in = (labels != UNLABELED) & np.asarray(pc.fill_null(has_text(table[TEXT]), False))
    with scorer_for(
        model, registry, allow_unapproved=True, threads=threads, engine=engine
    ) as scorer:
        bundle = scorer.bundle
        learned = known_rows(table.select([TEXT]), bundle.learned)
        counts = filled_in & ~learned
        probabilities = scorer.probabilities(table[TEXT]).to_numpy(zero_copy_only=False)
    right = counts & ((probabilities >= THRESHOLD) == (labels == 1))
    strata, rows, index = _strata(table)
    labeled, correct = (
        np.bincount(index[chosen], minlength=len(strata)) for chosen in (counts, right)
    )
    if not labeled.all():
        raise BadDataError(
            "Each stratum of a sample needs a labeled row that the model was not trained on.",
            f"{counted(int(filled_in.sum()), 'row')} of {len(table):,} have a label, and the model "
            f"was trained on {int((filled_in & learned).sum()):,} of these; none is left in "
            f"{listed(f'stratum {number}' for number in strata[labeled == 0])}.",
            "Label more rows, or draw another sample.",
        )
    return SampleAccuracy(
        bundle.model_id,
        bundle.engine.name,
        stratified_accuracy(rows, labeled, correct),
        int(rows.sum()),
        int(counts.sum()),
        int((~filled_in).sum()),
        int((filled_in & learned).sum()),
        tuple(
            LabeledStratum(int(number), *map(int, of_stratum))
            for number, *of_stratum in zip(strata, rows, labeled, correct, strict=True)
        ),
    )


def _read(location: str) -> pa.Table:
    """Return text, label and the columns of strata, with -1 for null labels."""
    filesystem, path = filesystem_of(location)
    names = [STRATUM, STRATUM_ROWS, ALL_ROWS]
    reviews = read_extra(filesystem, path, fs.FileType.File, "test")
    with readable(location), filesystem.open_input_file(path) as file:
        parquet = pq.ParquetFile(file)
        there = parquet.schema_arrow.names
        for name in names:
            if name not in there:
                raise MissingColumnError(name, location, there, _WAY_OUT)
        strata = parquet.read(names)
        # pandas makes floats of integers in some of its operations.
        columns = [strata[name].cast(pa.int64()) for name in names]
    for name, column in zip(names, columns, strict=True):
        reviews = reviews.append_column(name, column)
    return reviews


def _strata(table: pa.Table) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return the strata's numbers and rows, and for each row of a sample the index of its own."""
    number, rows, all_rows = (table[name].to_numpy() for name in (STRATUM, STRATUM_ROWS, ALL_ROWS))
    strata, first, index, drawn = np.unique(
        number, return_index=True, return_inverse=True, return_counts=True
    )
    of_stratum = rows[first]
    if (
        len(np.unique(all_rows)) != 1
        or of_stratum.sum() != all_rows[0]
        or (rows != of_stratum[index]).any()
        or (drawn > of_stratum).any()
    ):
        raise BadDataError(
            "A sample must hold rows of every stratum, and of one draw.",
            "Strata are missing, or rows of several samples are mixed.",
            _WAY_OUT,
        )
    return strata, of_stratum, index
