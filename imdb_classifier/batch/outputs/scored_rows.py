"""The rows of one file with their scores, in order, while later rows are read and scored."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import pyarrow as pa

from imdb_classifier.batch.inputs.reader import RowReader, TextChunk
from imdb_classifier.batch.options import ScoreOptions
from imdb_classifier.scoring.row_reasons import reasons
from imdb_classifier.scoring.scorer import PendingProbabilities, Scorer
from imdb_classifier.scoring.text_columns import labels
from imdb_classifier.text.batch_profile import BatchProfile

CHUNKS_AHEAD: Final = 16
"""Chunks read ahead of the one that is written, at the least, so that no thread waits for it."""
BYTES_AHEAD: Final = 1 << 25
"""Columns read ahead at the most, unless one chunk is larger: 32 MiB."""


@dataclass(frozen=True)
class ScoredRows:
    """Consecutive rows of a file.

    Attributes:
        chunk: The rows as they were read.
        labels: string, (rows,); null in rows without text, and in unsure ones unless they have a
            label of their own.
        probabilities: float32, (rows,), in [0, 1]; null in rows without text.
        profile: What the texts look like.
        reasons: string, (rows,); None if they are not asked for.
    """

    chunk: TextChunk
    labels: pa.Array
    probabilities: pa.Array
    profile: BatchProfile
    reasons: pa.Array | None = None

    @property
    def columns(self) -> list[pa.Array]:
        """The new columns."""
        return [self.labels, self.probabilities, *([] if self.reasons is None else [self.reasons])]


def score_rows(
    reader: RowReader,
    path: Sequence[str],
    scorer: Scorer,
    others: Sequence[str] | None,
    options: ScoreOptions,
) -> Iterator[ScoredRows]:
    """Score a file's rows.

    Args:
        reader: The file.
        path: Where its text is, see `RowReader.text_path`.
        scorer: The model.
        others: As for `RowReader.chunks`.
        options: Which labels are given.

    Raises:
        UnreadableFileError: The file is damaged.
        TextTypeError: Some text is not valid UTF-8.
    """
    most_chunks = max(CHUNKS_AHEAD, 2 * scorer.threads)
    begun: deque[tuple[TextChunk, PendingProbabilities]] = deque()
    held_bytes = 0
    for chunk in reader.chunks(path, others):
        begun.append((chunk, scorer.start(chunk.texts)))
        held_bytes += chunk.nbytes
        while len(begun) > most_chunks or (len(begun) > 1 and held_bytes > BYTES_AHEAD):
            held_bytes -= begun[0][0].nbytes
            yield _finished(*begun.popleft(), options)
    while begun:
        yield _finished(*begun.popleft(), options)


def _finished(chunk: TextChunk, pending: PendingProbabilities, options: ScoreOptions) -> ScoredRows:
    probabilities = pending.result()
    named = labels(probabilities, options.at_least, options.unsure_label)
    why = reasons(pending.remarks(), probabilities, options.at_least) if options.reason else None
    return ScoredRows(chunk, named, probabilities, pending.profile(), why)
