"""The labels that a new model would change in an unlabeled batch."""

from __future__ import annotations

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from imdb_classifier.batch.inputs.discovery import find_files
from imdb_classifier.batch.inputs.reader import open_rows, text_path
from imdb_classifier.batch.parquet_footer.file_footer import FileFooter
from imdb_classifier.errors import NoInputError
from imdb_classifier.evaluation.comparison import LabelChange, LabelChanges
from imdb_classifier.progress import Progress
from imdb_classifier.schema import THRESHOLD
from imdb_classifier.scoring.scorer import Scorer
from imdb_classifier.scoring.text_columns import has_text
from imdb_classifier.storage import storage_of
from imdb_classifier.storage.paths import StrPath

LARGEST = 20
"""Maximum number of label changes that are listed."""
MOVE_QUANTILES = (0.5, 0.9, 0.99, 1.0)


def check_batch(source: StrPath, text_column: str) -> None:
    """Check that the files of a batch are readable, and have the text column with some text in it.

    Args:
        source: A Parquet file, folder or glob pattern, see `discovery.discover_files`.
        text_column: The column that holds the text.

    Raises:
        NoInputError: There is no such file or folder, no Parquet file in it, or no text to score.
        BadDataError: A file cannot be read or lacks the column.
    """
    footers = [(path, FileFooter.read(path)) for path, _ in find_files(source)]
    columns = [text_path(footer, text_column) for _, footer in footers]
    for (path, footer), column in zip(footers, columns, strict=True):
        with storage_of(path).reading(path) as copy, open_rows(copy, footer) as reader:
            if any(pc.any(has_text(chunk.texts)).as_py() for chunk in reader.chunks(column)):
                return
    raise _no_text_in(source)


def find_label_changes(
    source: StrPath,
    text_column: str,
    challenger: Scorer,
    champion: Scorer,
    progress: Progress | None = None,
) -> LabelChanges:
    """Score a batch with two models and compare the labels.

    Args:
        source: A Parquet file, folder or glob pattern, see `discovery.discover_files`.
        text_column: The column that holds the text.
        challenger: The new model.
        champion: The old model.
        progress: Called with the number of files compared.

    Raises:
        NoInputError: There is no text to score.
        BadDataError: A file cannot be read, lacks the column, or has no text in it.
    """
    files = find_files(source)
    pieces: list[tuple[NDArray[np.float32], NDArray[np.float32]]] = []
    rows = np.zeros(len(files), np.int64)
    for number, (path, _) in enumerate(files):
        footer = FileFooter.read(path)
        column = text_path(footer, text_column)
        with storage_of(path).reading(path) as copy, open_rows(copy, footer) as reader:
            for chunk in reader.chunks(column):
                pending = challenger.start(chunk.texts), champion.start(chunk.texts)
                new, old = (p.result().to_numpy(zero_copy_only=False) for p in pending)
                pieces.append((new, old))
                rows[number] += len(chunk.texts)
        if progress is not None:
            progress("files of the batch compared", number + 1, len(files))
    ours, theirs = (
        np.concatenate([np.empty(0, np.float32), *(piece[model] for piece in pieces)])
        for model in (0, 1)
    )
    scored = np.flatnonzero(~np.isnan(ours))
    if not len(scored):
        raise _no_text_in(source)
    moves = np.abs(ours[scored].astype(np.float64) - theirs[scored])
    positive, was_positive = ours[scored] >= THRESHOLD, theirs[scored] >= THRESHOLD
    changed = np.flatnonzero(positive != was_positive)
    # Stable, so that equal moves stay in row order.
    largest = scored[changed[np.argsort(-moves[changed], kind="stable")[:LARGEST]]]
    begins = np.cumsum(rows) - rows
    return LabelChanges(
        rows=len(scored),
        to_positive=int(np.count_nonzero(positive & ~was_positive)),
        to_negative=int(np.count_nonzero(~positive & was_positive)),
        mean_move=float(moves.mean()),
        move_quantiles={
            f"{share:.0%}": float(move)
            for share, move in zip(MOVE_QUANTILES, np.quantile(moves, MOVE_QUANTILES), strict=True)
        },
        largest=tuple(
            LabelChange(files[file][1], int(at - begins[file]), float(ours[at]), float(theirs[at]))
            for at, file in zip(largest, np.searchsorted(begins, largest, "right") - 1, strict=True)
        ),
    )


def _no_text_in(source: StrPath) -> NoInputError:
    return NoInputError(
        "The batch that models are compared on must contain text.",
        f"{source} has none.",
        "Choose another `batch`.",
    )
