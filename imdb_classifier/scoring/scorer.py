"""The `Scorer`, which all scoring goes through: texts in, labels and probabilities out."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self, TypeAlias
from weakref import WeakSet

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from imdb_classifier.errors import UnsupportedDataError
from imdb_classifier.model.bundle import Bundle
from imdb_classifier.model.engines import EngineChoice
from imdb_classifier.registry.access import CHAMPION, reading
from imdb_classifier.registry.versions import Registry, bundled_path
from imdb_classifier.scoring.cores import cores_to_use
from imdb_classifier.scoring.kept_bundles import bundle_at, kept_bundle
from imdb_classifier.scoring.row_reasons import BLANK, remarks_of
from imdb_classifier.scoring.text_columns import as_text, has_text
from imdb_classifier.storage import absolute_location
from imdb_classifier.storage.paths import StrPath
from imdb_classifier.text.batch_profile import BatchProfile
from imdb_classifier.text.encoding import TokenSequences, encode

CHUNK_ROWS: Final = 1_024
"""Number of reviews that a thread encodes, sorts by length and scores at a time. No batch crosses
chunks, so which reviews share a batch depends on the input alone, not on the number of threads."""

ScoredChunk: TypeAlias = tuple[pa.Array, BatchProfile, NDArray[np.int8]]
"""Probabilities, profile and remarks of some texts."""


class Scorer:
    """A loaded model that scores texts, by default on every core.

    Use it as a context manager, or call `close`. Several threads may share a scorer. Other
    processes may, too: a forked one starts threads of its own, and pickling sends the location and
    the hash of the model, which each process loads once.

    Args:
        bundle: The model.
        threads: Number of threads, at least 1; by default one for each core that this process
            may use by its affinity and CPU quota, unless IMDB_CLASSIFIER_THREADS is set.

    Attributes:
        bundle: The model.
        threads: Number of threads.

    Example:
        >>> import pyarrow as pa
        >>> from imdb_classifier import Scorer
        >>> with Scorer.load("@champion") as scorer:
        ...     probabilities = scorer.probabilities(pa.array(["A warm, funny film.", None]))
        >>> probabilities.type
        DataType(float)
        >>> [value is None for value in probabilities.to_pylist()]
        [False, True]
    """

    def __init__(self, bundle: Bundle, threads: int | None = None) -> None:
        self.bundle = bundle
        self.threads = cores_to_use(threads)
        self._chosen_threads = threads
        self._is_closed = False
        self._start_threads()
        _SCORERS.add(self)

    @classmethod
    def load(
        cls,
        model: StrPath = CHAMPION,
        registry: Registry | None = None,
        *,
        allow_unapproved: bool = False,
        threads: int | None = None,
        engine: EngineChoice = "auto",
    ) -> Scorer:
        """Load a model to score with.

        Args:
            model: ``@champion``, ``@challenger`` or ``@previous``; a version's id; or the path of a
                bundle, on this machine or in an object store.
            registry: Where aliases and ids are looked up; by default `Registry.at()`.
            allow_unapproved: Accept a version that has not passed the promotion checks.
            threads: Number of threads, as for `Scorer`.
            engine: What runs the network, see `load_bundle`.

        Raises:
            UnknownModelError: There is no such model.
            UnapprovedModelError: The version has not passed the promotion checks.
            BundleError: The model is damaged.
            UnavailableError: The registry or the bundle cannot be reached.
            ConfigurationError: The number of threads is wrong; or there is no such engine, or its
                package is not installed or broken.
        """
        registry = registry or Registry.at()
        bundle = registry.load(model, engine)
        if not allow_unapproved:
            registry.check_approved(bundle)
        return cls(bundle, threads)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __reduce__(self) -> tuple[object, ...]:
        location = self.bundle.location
        # Another machine may have installed the package elsewhere.
        where = None if location == bundled_path().as_posix() else absolute_location(location)
        bundle = self.bundle
        return _unpickled, (where, bundle.model_hash, self._chosen_threads, bundle.engine_choice)

    def close(self) -> None:
        """Stop the threads; texts that are still queued are not scored."""
        self._is_closed = True
        self._pool.shutdown(cancel_futures=True)

    def _start_threads(self) -> None:
        self._pool = ThreadPoolExecutor(self.threads, thread_name_prefix="scorer")
        if self._is_closed:
            self._pool.shutdown()

    def probabilities(self, texts: pa.ChunkedArray | pa.Array) -> pa.Array:
        """Return the probability that each text is positive.

        Args:
            texts: (rows,), valid UTF-8: Arrow strings or binary of any width, views, dictionaries
                of them, or an extension type that is stored as one of them.

        Returns:
            float32, (rows,), in [0, 1]; null where the text is null, empty or blank. Identical
            bits for any number of threads.

        Raises:
            UnsupportedDataError: The texts are not an Arrow array.
            TextTypeError: The texts are of another type, or not valid UTF-8.
            RuntimeError: The scorer is closed.
        """
        _check_arrow(texts)
        if texts.type != pa.string():
            texts = as_text(texts, None, "the texts")
        return self.start(texts).result()

    def start(self, texts: pa.ChunkedArray | pa.Array) -> PendingProbabilities:
        """Start scoring texts and return at once, so that the caller can read more meanwhile.

        Args:
            texts: string, (rows,), valid UTF-8.

        Returns:
            The pending probabilities and profile of the texts.

        Raises:
            UnsupportedDataError: The texts are not an Arrow array.
            RuntimeError: The scorer is closed.
        """
        _check_arrow(texts)
        return PendingProbabilities(
            [
                self._pool.submit(self._score_chunk, texts.slice(start, CHUNK_ROWS))
                for start in range(0, len(texts), CHUNK_ROWS)
            ]
        )

    def sequence_probabilities(
        self, sequences: TokenSequences, scored: Callable[[int], None] | None = None
    ) -> NDArray[np.float32]:
        """Return the probability that each encoded review is positive.

        Args:
            sequences: Token ids, encoded and truncated as the model requires.
            scored: Called with the number of reviews that are scored so far, now and then.

        Returns:
            float32, (reviews,), in [0, 1].

        Raises:
            RuntimeError: The scorer is closed.
        """
        rows = np.arange(len(sequences))
        chunks = [
            sequences.take(rows[start : start + CHUNK_ROWS])
            for start in range(0, len(rows), CHUNK_ROWS)
        ]
        probabilities = np.empty(len(rows), np.float32)
        done = 0
        for chunk in self._pool.map(self.bundle.engine.probabilities, chunks):
            probabilities[done : done + len(chunk)] = chunk
            done += len(chunk)
            if scored is not None:
                scored(done)
        return probabilities

    def _score_chunk(self, texts: pa.ChunkedArray | pa.Array) -> ScoredChunk:
        bundle, encoding = self.bundle, self.bundle.recipe.encoding
        scorable = pc.fill_null(has_text(texts), False).to_numpy(zero_copy_only=False)
        whole = encode(texts.filter(scorable), bundle.vocabulary, encoding.untruncated)
        probabilities = bundle.engine.probabilities(whole.tails(encoding.sequence_length))
        result = np.zeros(len(texts), dtype=np.float32)
        result[scorable] = probabilities
        without_text = len(texts) - len(whole)
        profile = BatchProfile.of(whole, probabilities, encoding.sequence_length, without_text)
        remarks = np.full(len(texts), BLANK, np.int8)
        remarks[scorable] = remarks_of(whole, encoding.sequence_length)
        return pa.array(result, mask=~scorable), profile, remarks


def _check_arrow(texts: object) -> None:
    if not isinstance(texts, pa.Array | pa.ChunkedArray):
        raise UnsupportedDataError(
            "A Scorer takes texts as an Arrow array.",
            f"a {type(texts).__module__}.{type(texts).__qualname__}",
            "Convert a list of texts with pyarrow.array, or use score_dataframe.",
        )


_SCORERS: Final[WeakSet[Scorer]] = WeakSet()
"""The scorers of this process."""


def _after_fork() -> None:
    """Give the scorers of a forked process threads, which do not survive a fork."""
    for scorer in _SCORERS:
        scorer._start_threads()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _unpickled(
    location: str | None, model_hash: str, threads: int | None, engine: EngineChoice
) -> Scorer:
    return Scorer(kept_bundle(location or bundled_path().as_posix(), model_hash, engine), threads)


@contextmanager
def kept_scorer_for(model: StrPath | Scorer, registry: Registry | None = None) -> Iterator[Scorer]:
    """Provide a scorer as `scorer_for`, whose model this process keeps for the next call.

    Args:
        model: A scorer, or a reference as `Scorer.load` takes it.
        registry: As for `Scorer.load`.

    Raises:
        ImdbClassifierError: The model cannot be loaded, see `Scorer.load`.
    """
    if isinstance(model, Scorer):
        yield model
        return
    registry = registry or Registry.at()
    location = registry.locate(model)
    with reading(registry.root):
        bundle = bundle_at(location)
    registry.check_approved(bundle)
    with Scorer(bundle) as scorer:
        yield scorer


@contextmanager
def scorer_for(
    model: StrPath | Scorer,
    registry: Registry | None = None,
    *,
    allow_unapproved: bool = False,
    threads: int | None = None,
    engine: EngineChoice = "auto",
) -> Iterator[Scorer]:
    """Provide a scorer: the given one, or one that is loaded, and closed at the end.

    Args:
        model: A scorer, or a reference as `Scorer.load` takes it.
        registry: As for `Scorer.load`.
        allow_unapproved: As for `Scorer.load`.
        threads: As for `Scorer.load`.
        engine: As for `Scorer.load`.

    Raises:
        ImdbClassifierError: The model cannot be loaded, see `Scorer.load`.
    """
    if isinstance(model, Scorer):
        yield model
    else:
        with Scorer.load(
            model, registry, allow_unapproved=allow_unapproved, threads=threads, engine=engine
        ) as scorer:
            yield scorer


@dataclass(frozen=True)
class PendingProbabilities:
    """Probabilities that are being computed, see `Scorer.start`."""

    _chunks: list[Future[ScoredChunk]]

    def result(self) -> pa.Array:
        """Wait for the probabilities: float32, (rows,); null where there is no text."""
        scored = (chunk.result()[0] for chunk in self._chunks)
        return pa.concat_arrays([pa.array([], pa.float32()), *scored])

    def profile(self) -> BatchProfile:
        """Wait for the texts' profile: counts of lengths, unknown words and probabilities."""
        return sum((chunk.result()[1] for chunk in self._chunks), BatchProfile())

    def remarks(self) -> NDArray[np.int8]:
        """Wait for what there is to say about each row, see `row_reasons`: int8, (rows,)."""
        remarks = (chunk.result()[2] for chunk in self._chunks)
        return np.concatenate([np.zeros(0, np.int8), *remarks])
