"""A teacher that reads: an LSTM that learns to name the next word, then to tell sentiment.

Dai and Le (2015), Semi-supervised Sequence Learning. Words are named by a softmax over a sample of
all words, corrected for how often each is drawn (Jean et al., 2015), with one table of vectors for
words that are read and words that are named (Press and Wolf, 2017). As a classifier, its states are
pooled over time (Howard and Ruder, 2018).

What is learned is kept every few minutes. A run that was killed goes on from there, to the same
weights: the order of the reviews, the words drawn and what is dropped depend on the seed and the
number of the step alone.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from imdb_classifier.batching import length_buckets, pad_right, shuffled_batches
from imdb_classifier.config import LanguageModelConfig
from imdb_classifier.encoding import PADDING, UNKNOWN, TokenSequences
from imdb_classifier.network import import_keras

logger = logging.getLogger(__name__)

READING_SEED: Final = 1
READING_BATCH: Final = 128
READING_RATE: Final = 0.002
READING_DROPOUT: Final = 0.2
FREQUENCY_POWER: Final = 0.75
"""Words are drawn in proportion to this power of how often they stand in the reviews."""

TELLING_BATCH: Final = 64
TELLING_RATE: Final = 0.001
TELLING_UNITS: Final = 64
WORD_DROPOUT, VECTOR_DROPOUT, STATE_DROPOUT, LAST_DROPOUT = 0.1, 0.4, 0.5, 0.3
AVERAGING: Final = 0.995

WARM_UP_STEPS: Final = 200
LAST_RATE: Final = 0.02
"""Learning rates fall along a cosine to this share of them."""
STEPS_KEPT: Final = 100
"""Steps after which what is learned is kept."""


def language_model_log_odds(
    sequences: TokenSequences,
    labels: NDArray[np.int8],
    rows: NDArray[np.int64],
    config: LanguageModelConfig,
    seed: int,
    reading: Path,
    telling: Path,
) -> NDArray[np.float32]:
    """Log-odds of positive by a language model that was trained on all reviews.

    Args:
        sequences: The reviews, with ids below ``config.num_words``.
        labels: int8, (reviews,), 0 or 1 in these rows.
        rows: The reviews whose labels are learned from.
        config: How large it is, how long it learns, and which way it reads.
        seed: Decides how it learns to tell: first weights, the order, and what is dropped.
        reading: A folder that keeps what is learned of the reviews without their labels. Runs with
            the same reviews share it.
        telling: A file that keeps what is learned of the labels; this run's and no other's.

    Returns:
        float32, (reviews,), of all reviews.
    """
    keras = import_keras()
    keras.utils.set_random_seed(READING_SEED)
    reader = _Reader(keras, config)
    _learn_to_read(reader, sequences, config, reading / f"{_key(sequences, config)}.npz")
    keras.utils.set_random_seed(seed)
    teller = _Teller(keras, reader)
    _learn_to_tell(teller, sequences, labels, rows, config, seed, telling)
    return _told(teller, sequences)


def _key(sequences: TokenSequences, config: LanguageModelConfig) -> str:
    """Names what is learned without labels, by all that decides it."""
    digest = sha256(repr(replace(config, telling_passes=1)).encode())
    digest.update(sequences.ids.tobytes())
    digest.update(sequences.offsets.tobytes())
    return digest.hexdigest()[:12]


class _Reader:
    """Word vectors and an LSTM over them, in one direction."""

    def __init__(self, keras: Any, config: LanguageModelConfig) -> None:
        start = keras.initializers.RandomNormal(stddev=0.05)
        self.config = config
        self.words = keras.layers.Embedding(config.num_words, config.embedding_dim, start)
        self.lstm = keras.layers.LSTM(config.lstm_units, return_sequences=True)
        self.words.build()
        self.lstm.build((None, None, config.embedding_dim))

    @property
    def variables(self) -> list[Any]:
        return [*self.words.trainable_variables, *self.lstm.trainable_variables]

    def states(self, ids: Any, share: float, seed: Any) -> tuple[Any, Any]:
        """The token ids in reading order, and the LSTM's state after each.

        Args:
            ids: int32, (batch, time), padded on the right.
            share: Of a vector's elements, dropped for a whole review.
            seed: int32, (2,), decides which; None to drop nothing.
        """
        import tensorflow as tf

        if self.config.backwards:
            lengths = tf.reduce_sum(tf.cast(ids != PADDING, tf.int32), 1)
            ids = tf.reverse_sequence(ids, lengths, seq_axis=1)
        whole = (tf.shape(ids)[0], 1, self.config.embedding_dim)
        vectors = _dropped(self.words(ids), share, seed, 0, whole)
        return ids, self.lstm(vectors, mask=ids != PADDING)


class _Teller:
    """What tells the sentiment of a review from a reader's states, pooled over time."""

    def __init__(self, keras: Any, reader: _Reader) -> None:
        self.reader = reader
        self.hidden = keras.layers.Dense(TELLING_UNITS, activation="relu")
        self.positive = keras.layers.Dense(1)
        self.hidden.build((None, 3 * reader.config.lstm_units))
        self.positive.build((None, TELLING_UNITS))

    @property
    def variables(self) -> list[Any]:
        layers = (self.hidden, self.positive)
        own = [variable for layer in layers for variable in layer.trainable_variables]
        return [*self.reader.variables, *own]

    def log_odds(self, ids: Any, seed: Any = None) -> Any:
        """Log-odds of positive: float32, (batch,); arguments as for `_Reader.states`."""
        import tensorflow as tf

        ids, states = self.reader.states(ids, VECTOR_DROPOUT, seed)
        is_token = tf.cast(ids != PADDING, tf.float32)[:, :, None]
        # Behind the last token, states stay as they are.
        pooled = [
            tf.reduce_max(states, 1),
            tf.reduce_sum(states * is_token, 1) / tf.reduce_sum(is_token, 1),
            states[:, -1],
        ]
        features = _dropped(tf.concat(pooled, -1), STATE_DROPOUT, seed, 1)
        return self.positive(_dropped(self.hidden(features), LAST_DROPOUT, seed, 2))[:, 0]


def _learn_to_read(
    reader: _Reader, sequences: TokenSequences, config: LanguageModelConfig, kept: Path
) -> None:
    """Train a reader to name each next word of the reviews."""
    import tensorflow as tf

    keras = import_keras()
    counts = np.bincount(sequences.ids, minlength=config.num_words).astype(np.float64)
    counts[: UNKNOWN + 1] = 0  # tokens that are no words are neither named nor drawn
    chances = counts**FREQUENCY_POWER / (counts**FREQUENCY_POWER).sum()
    shares = np.maximum(counts, 1) / counts.sum()
    correction = tf.constant(np.log(chances * config.drawn_words + 1e-12), tf.float32)
    to_vector = keras.layers.Dense(config.embedding_dim)
    to_vector.build((None, config.lstm_units))
    frequent = keras.Variable(np.log(shares).astype(np.float32))
    variables = [*reader.variables, *to_vector.trainable_variables, frequent]

    def loss(seed: Any, ids: Any, drawn: Any) -> Any:
        ids, states = reader.states(ids, READING_DROPOUT, seed)
        named = ids[:, 1:] > UNKNOWN
        words = tf.boolean_mask(ids[:, 1:], named)
        states = _dropped(tf.boolean_mask(states[:, :-1], named), READING_DROPOUT, seed, 1)
        vectors = to_vector(states)
        table = reader.words.embeddings
        others = tf.matmul(vectors, tf.gather(table, drawn), transpose_b=True)
        others += tf.gather(frequent, drawn) - tf.gather(correction, drawn)
        others = tf.where(words[:, None] == drawn[None, :], -1e9, others)
        true = tf.reduce_sum(vectors * tf.gather(table, words), -1) + tf.gather(frequent, words)
        return tf.reduce_mean(tf.nn.softplus(tf.reduce_logsumexp(others, 1) - true))

    def batches() -> Iterator[tuple[NDArray[Any], ...]]:
        cumulated = np.cumsum(chances)
        for generator, rows in _passes(
            sequences, config.reading_passes, READING_BATCH, READING_SEED
        ):
            drawn = np.searchsorted(cumulated, generator.random(config.drawn_words))
            drawn = np.minimum(drawn, config.num_words - 1).astype(np.int32)
            yield pad_right(sequences.take(rows)), drawn

    steps = config.reading_passes * -(-len(sequences) // READING_BATCH)
    _fit("reading", loss, variables, batches(), steps, READING_RATE, 0.0, READING_SEED, kept)


def _learn_to_tell(
    teller: _Teller,
    sequences: TokenSequences,
    labels: NDArray[np.int8],
    rows: NDArray[np.int64],
    config: LanguageModelConfig,
    seed: int,
    kept: Path,
) -> None:
    """Train a teller, and its reader with it, on the labels of these rows."""
    import tensorflow as tf

    learned, targets = sequences.take(rows), labels[rows].astype(np.float32)

    def loss(seed: Any, ids: Any, targets: Any) -> Any:
        kept_words = (
            tf.random.stateless_uniform(tf.shape(ids), [seed[0], seed[1] + 3]) >= WORD_DROPOUT
        )
        ids = tf.where(kept_words | (ids == PADDING), ids, UNKNOWN)
        log_odds = teller.log_odds(ids, seed)
        errors = tf.nn.sigmoid_cross_entropy_with_logits(labels=targets, logits=log_odds)
        return tf.reduce_mean(errors)

    def batches() -> Iterator[tuple[NDArray[Any], ...]]:
        for _, rows in _passes(learned, config.telling_passes, TELLING_BATCH, seed):
            yield pad_right(learned.take(rows)), targets[rows]

    steps = config.telling_passes * -(-len(rows) // TELLING_BATCH)
    _fit("telling", loss, teller.variables, batches(), steps, TELLING_RATE, AVERAGING, seed, kept)


def _told(teller: _Teller, sequences: TokenSequences) -> NDArray[np.float32]:
    import tensorflow as tf

    tell = tf.function(
        teller.log_odds, input_signature=[tf.TensorSpec((None, None), tf.int32)], autograph=False
    )
    log_odds = np.empty(len(sequences), np.float32)
    for rows in length_buckets(sequences.lengths, READING_BATCH):
        log_odds[rows] = tell(pad_right(sequences.take(rows))).numpy()
    return log_odds


def _passes(
    sequences: TokenSequences, passes: int, batch: int, seed: int
) -> Iterator[tuple[np.random.Generator, NDArray[np.int64]]]:
    """The rows of every batch of all passes, and a generator to draw with for that batch."""
    for number in range(passes):
        generator = np.random.default_rng([seed, number])
        for rows in shuffled_batches(sequences.lengths, batch, generator, bucketed=True):
            yield generator, rows


def _fit(
    name: str,
    loss: Callable[..., Any],
    variables: Sequence[Any],
    batches: Iterator[tuple[NDArray[Any], ...]],
    steps: int,
    rate: float,
    averaging: float,
    seed: int,
    kept: Path,
) -> None:
    """Adam, with what is learned kept every `STEPS_KEPT` steps.

    Args:
        name: What is trained, for the log.
        loss: From a seed of two int32 and a batch's arrays to the mean loss.
        variables: What is trained.
        batches: Of all passes.
        steps: How many they are.
        rate: The highest learning rate.
        averaging: Momentum of the average of weights that is kept in the end; 0 for the last ones.
        seed: Decides what is dropped.
        kept: The file to keep it in, and to go on from where it is there.
    """
    import tensorflow as tf

    keras = import_keras()
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0,
        max(steps - WARM_UP_STEPS, 1),
        alpha=LAST_RATE,
        warmup_target=rate,
        warmup_steps=WARM_UP_STEPS,
    )
    optimizer = keras.optimizers.Adam(
        schedule, clipnorm=1.0, use_ema=averaging > 0, ema_momentum=averaging
    )
    optimizer.build(variables)
    state = [*variables, *optimizer.variables]
    done = _restore(state, kept)
    if done == steps:
        return

    @tf.function(reduce_retracing=True, autograph=False)  # type: ignore[untyped-decorator]
    def step(seed: Any, *arrays: Any) -> Any:
        with tf.GradientTape() as tape:
            value = loss(seed, *arrays)
        gradients = tape.gradient(value, [getattr(v, "value", v) for v in variables])
        optimizer.apply_gradients(zip(map(tf.convert_to_tensor, gradients), variables, strict=True))
        return value

    losses: list[float] = []
    for number, arrays in enumerate(islice(batches, done, None), done + 1):
        losses.append(float(step(np.array([seed % 2**31, 4 * number], np.int32), *arrays)))
        if number == steps:
            optimizer.finalize_variable_values(variables)
        if number % STEPS_KEPT == 0 or number == steps:
            # What Adam remembers is of no use any more at the end.
            _keep(variables if number == steps else state, number, kept)
            logger.info(
                "language model, %s: step %d/%d, loss %.4f", name, number, steps, np.mean(losses)
            )
            losses.clear()


def _keep(state: Sequence[Any], step: int, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    # Runs with other seeds may keep the same at the same time.
    unfinished = file.with_suffix(f".{os.getpid()}.unfinished.npz")
    arrays = {str(i): np.asarray(variable) for i, variable in enumerate(state)}
    arrays["step"] = np.array(step)
    np.savez(unfinished, **arrays)  # type: ignore[arg-type]  # no name is one of its own options
    unfinished.rename(file)


def _restore(state: Sequence[Any], file: Path) -> int:
    """Put back what `_keep` kept, and say after which step that was; 0 where nothing was kept."""
    if not file.exists():
        return 0
    with np.load(file) as arrays:
        for i, variable in enumerate(state[: len(arrays) - 1]):
            variable.assign(arrays[str(i)])
        step = int(arrays["step"])
    logger.info("language model: going on after step %d of %s", step, file.stem)
    return step


def _dropped(values: Any, share: float, seed: Any, number: int, shape: Any = None) -> Any:
    """Values of which a share became 0, and the others that much larger; all where seed is None."""
    import tensorflow as tf

    if seed is None:
        return values
    shape = tf.shape(values) if shape is None else shape
    stays = tf.random.stateless_uniform(shape, [seed[0], seed[1] + number]) >= share
    return values * tf.cast(stays, values.dtype) / (1 - share)
