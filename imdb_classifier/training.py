"""The fit loop: reviews in, a trained Keras model out, the same one every time.

Every epoch ends in a checkpoint that holds the weights, Adam's state and the figures so far. The
order of the reviews in an epoch depends on the seed and the epoch's number alone. A run that was
killed therefore goes on from its last checkpoint to the same weights as an undisturbed one.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from imdb_classifier.batching import length_buckets, network_inputs, shuffled_batches
from imdb_classifier.config import Recipe
from imdb_classifier.encoding import TokenSequences, Vocabulary, encode_reviews
from imdb_classifier.errors import ConfigurationError
from imdb_classifier.imdb import Reviews
from imdb_classifier.network import build_network, import_keras
from imdb_classifier.schema import TEXT

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

logger = logging.getLogger(__name__)

_VALIDATION_BATCH_ROWS = 256


@dataclass(frozen=True)
class Epoch:
    """The figures of one pass over the training part.

    Attributes:
        epoch: Its number, from 1.
        loss: Mean binary cross-entropy (nats) of the training part, while it was learned.
        accuracy: Share of the training part labelled correctly, while it was learned.
        val_loss: The same of the validation part, after the epoch; None where there is none.
        val_accuracy: Likewise.
        seconds: Wall-clock time, validation included.
    """

    epoch: int
    loss: float
    accuracy: float
    val_loss: float | None
    val_accuracy: float | None
    seconds: float


class TrainingObserver:
    """Told how training goes. This one writes log lines; derive from it to show more."""

    def started(self, summary: str, epochs: int, steps: int) -> None:
        """Once, in front of the first epoch of this run.

        Args:
            summary: The model's layers, as Keras prints them.
            epochs: Epochs in all.
            steps: Batches of one epoch.
        """
        logger.info("%s", summary)

    def stepped(self, epoch: int, step: int) -> None:
        """After every batch; both count from 1."""

    def finished(self, epoch: Epoch, epochs: int) -> None:
        """After every epoch, once its checkpoint is on disk."""
        logger.info("%s", epoch_line(epoch, epochs))


def epoch_line(epoch: Epoch, epochs: int) -> str:
    """An epoch's figures as one line for people."""
    line = f"epoch {epoch.epoch}/{epochs}  loss {epoch.loss:.4f}  accuracy {epoch.accuracy:.4f}"
    if epoch.val_loss is not None and epoch.val_accuracy is not None:
        line += f"  val_loss {epoch.val_loss:.4f}  val_accuracy {epoch.val_accuracy:.4f}"
    return f"{line}  {epoch.seconds:.0f} s"


@dataclass(frozen=True)
class TrainedModel:
    """What training gives: all of a bundle but where its reviews came from."""

    model: keras.Model
    vocabulary: Vocabulary
    recipe: Recipe
    seed: int
    history: tuple[Epoch, ...]


def train(
    reviews: Reviews,
    recipe: Recipe,
    seed: int,
    checkpoints: Path,
    observer: TrainingObserver | None = None,
) -> TrainedModel:
    """Train a network on reviews, going on from the last checkpoint of the same run, if any.

    The same reviews, recipe and seed give the same weights on the same machine, package versions
    and number of threads. TensorFlow's op determinism is switched on for the whole process.

    Args:
        reviews: The train split; a seeded part of it is held out for validation.
        recipe: What to build and how to fit it.
        seed: From 0 to 2**32 - 1; decides the first weights, the split and the order.
        checkpoints: A folder for this run's checkpoints and no other's (see `run_key`), made if
            missing; the caller removes it when done.
        observer: Told of every step; by default log lines are written.

    Raises:
        ConfigurationError: The seed is out of range, or the validation share leaves no reviews.
        MissingExtraError: Keras or TensorFlow is not installed.
    """
    if not 0 <= seed < 2**32:
        raise ConfigurationError(
            "A seed is an integer from 0 to 4294967295.",
            f"This one is {seed}.",
            "Choose another with --seed.",
        )
    observer = observer or TrainingObserver()
    keras = import_keras()
    import tensorflow as tf

    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()

    vocabulary = vocabulary_of(reviews, recipe)
    sequences = encode_reviews(reviews.table, vocabulary, recipe.encoding)
    training_rows, validation_rows = split(len(reviews), recipe, seed)
    training = _Part(sequences.take(training_rows), reviews.labels[training_rows], recipe)
    validation = _Part(sequences.take(validation_rows), reviews.labels[validation_rows], recipe)

    history, model = _resume(checkpoints)
    if model is None:
        model = build_network(recipe.encoding, recipe.network)
        model.compile(
            optimizer=keras.optimizers.Adam(recipe.training.learning_rate),
            loss="binary_crossentropy",
            metrics=["accuracy"],
        )
    epochs = recipe.training.epochs
    observer.started(_summary(model), epochs, -(-len(training_rows) // recipe.training.batch_size))
    for number in range(len(history) + 1, epochs + 1):
        started = time.perf_counter()
        figures = model.fit(
            training.epoch(np.random.default_rng([seed, number])),
            shuffle=False,  # they come in an order of their own
            validation_data=validation.in_order() if len(validation_rows) else None,
            verbose=0,
            callbacks=[_stepping(keras, observer, number)],
        ).history
        history.append(
            Epoch(
                number,
                loss=figures["loss"][0],
                accuracy=figures["accuracy"][0],
                val_loss=figures["val_loss"][0] if len(validation_rows) else None,
                val_accuracy=figures["val_accuracy"][0] if len(validation_rows) else None,
                seconds=round(time.perf_counter() - started, 2),
            )
        )
        _checkpoint(checkpoints, model, history)
        observer.finished(history[-1], epochs)
    return TrainedModel(model, vocabulary, recipe, seed, tuple(history))


def run_key(reviews: Reviews, recipe: Recipe, seed: int) -> str:
    """Names a training run by all that decides its weights: reviews, recipe and seed."""
    settings = {"recipe": recipe.to_dict(), "seed": seed, "data": reviews.fingerprint}
    digest = sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
    return f"{recipe.name}-{seed}-{digest[:12]}"


class _Part:
    """Encoded reviews and labels, handed to Keras as batches."""

    def __init__(self, sequences: TokenSequences, labels: NDArray[np.int8], recipe: Recipe) -> None:
        self.sequences = sequences
        self.labels = labels.astype(np.float32)[:, None]
        self.recipe = recipe

    def epoch(self, generator: np.random.Generator) -> tf.data.Dataset:
        """Every review once, in an order of the generator's."""
        return self._batches(
            shuffled_batches(
                self.sequences.lengths,
                self.recipe.training.batch_size,
                generator,
                bucketed=self.recipe.network.masked,
            )
        )

    def in_order(self) -> tf.data.Dataset:
        """Every review once, in an order that never changes."""
        return self._batches(length_buckets(self.sequences.lengths, _VALIDATION_BATCH_ROWS))

    def _batches(self, batches: Sequence[NDArray[np.int64]]) -> tf.data.Dataset:
        import tensorflow as tf

        def padded() -> Iterator[tuple[NDArray[np.int32], NDArray[np.float32]]]:
            for rows in batches:
                yield network_inputs(self.recipe, self.sequences.take(rows)), self.labels[rows]

        # Keras would guess the shapes from the first two batches, and fail at the first wider one
        # where these happen to be of one width.
        steps = None if self.recipe.network.masked else self.recipe.encoding.sequence_length
        shapes = tf.TensorSpec((None, steps), tf.int32), tf.TensorSpec((None, 1), tf.float32)
        dataset = tf.data.Dataset.from_generator(padded, output_signature=shapes)
        return dataset.apply(tf.data.experimental.assert_cardinality(len(batches))).prefetch(2)


def vocabulary_of(reviews: Reviews, recipe: Recipe) -> Vocabulary:
    """The words with ids of their own: those that the reviews come with, else the most frequent."""
    if reviews.words is not None:
        return Vocabulary(reviews.words[: recipe.encoding.vocabulary_words])
    return Vocabulary.count(reviews.table[TEXT]).head(recipe.encoding.vocabulary_words)


def split(rows: int, recipe: Recipe, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows to train on and rows to validate on, drawn by the seed."""
    order = np.random.default_rng(seed).permutation(rows)
    training_rows = round(rows * (1 - recipe.training.validation_fraction))
    if training_rows == 0:
        raise ConfigurationError(
            "At least one review must be left to train on.",
            f"There are {rows} labelled reviews.",
            "Name more with --data or --extra-train.",
        )
    return order[:training_rows], order[training_rows:]


def _checkpoint(folder: Path, model: keras.Model, history: Sequence[Epoch]) -> None:
    number = history[-1].epoch
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = folder / f".epoch-{number}"
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir()
    model.save(unfinished / "model.keras")
    (unfinished / "history.json").write_text(json.dumps([asdict(epoch) for epoch in history]))
    os.replace(unfinished, folder / f"epoch-{number}")


def _resume(folder: Path) -> tuple[list[Epoch], keras.Model | None]:
    """The figures and the model of the last checkpoint, or nothing where there is none."""
    numbers = [int(path.name.removeprefix("epoch-")) for path in folder.glob("epoch-*")]
    if not numbers:
        return [], None
    latest = folder / f"epoch-{max(numbers)}"
    history = [Epoch(**epoch) for epoch in json.loads((latest / "history.json").read_text())]
    logger.info("going on after epoch %d", len(history))
    return history, import_keras().models.load_model(latest / "model.keras")


def _summary(model: keras.Model) -> str:
    lines: list[str] = []
    model.summary(line_length=80, print_fn=lines.append)
    return "\n".join(lines)


def _stepping(keras: Any, observer: TrainingObserver, epoch: int) -> keras.callbacks.Callback:
    class Stepping(keras.callbacks.Callback):  # type: ignore[misc]
        def on_train_batch_end(self, batch: int, logs: object = None) -> None:
            observer.stepped(epoch, batch + 1)

    return Stepping()
