"""The training loop, which is deterministic and resumes from checkpoints.

The order of the reviews in an epoch depends only on the seed and the number of the epoch, so an
interrupted run that resumes from its last checkpoint ends with the weights of an uninterrupted one.
"""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from imdb_classifier.config import TRAINING_REVISION, Recipe, TeachersConfig, TrainingConfig
from imdb_classifier.errors import ConfigurationError
from imdb_classifier.model.keras_backend import import_keras
from imdb_classifier.model.network import build_network, build_student, join, without_vectors
from imdb_classifier.model.trained import Epoch, TrainedModel, epoch_line
from imdb_classifier.model.weights import rounded
from imdb_classifier.progress import Progress
from imdb_classifier.reviews.dataset import Reviews
from imdb_classifier.training.data import Dataset, prepare_training_data
from imdb_classifier.training.epochs.callbacks import Watching
from imdb_classifier.training.epochs.checkpoints import load_checkpoint, save_checkpoint
from imdb_classifier.training.linear import fit_shares
from imdb_classifier.training.teachers import Teaching

if TYPE_CHECKING:
    import keras

logger = logging.getLogger(__name__)


class TrainingObserver:
    """Follows training: logs the network and its epochs. Subclass it to do more.

    Args:
        progress: Called with the steps of the teachers, then with those of training.
    """

    progress: Progress | None = None
    _epochs = _steps = 0

    def __init__(self, progress: Progress | None = None) -> None:
        self.progress = progress

    def taught(self, done: int, steps: int) -> None:
        """Called as the teachers proceed, in a recipe with teachers; before `started`."""
        if self.progress is not None:
            self.progress("steps of the teachers", done, steps)

    def started(self, summary: str, epochs: int, steps: int) -> None:
        """Called once, before the first epoch of this run.

        Args:
            summary: The model's layers, as Keras prints them.
            epochs: Total number of epochs.
            steps: Number of batches per epoch.
        """
        logger.info("%s", summary)
        self._epochs, self._steps = epochs, steps

    def stepped(self, epoch: int, step: int) -> None:
        """Called after every batch; both numbers start at 1."""
        if self.progress is not None:
            done = (epoch - 1) * self._steps + step
            self.progress("training steps", done, self._epochs * self._steps)

    def finished(self, epoch: Epoch, epochs: int) -> None:
        """Called after every epoch, once its checkpoint is on disk."""
        logger.info("%s", epoch_line(epoch, epochs))


def train(
    reviews: Reviews,
    recipe: Recipe,
    seed: int,
    checkpoints: Path,
    observer: TrainingObserver | None = None,
    unlabeled: Reviews | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> TrainedModel:
    """Train a network on reviews, resuming from the last checkpoint of the same run, if any.

    The same reviews, recipe and seed give the same weights on the same machine, with the same
    package versions and number of threads. The global random number generators are neither used
    nor seeded. TensorFlow's op determinism is enabled for the whole process.

    Args:
        reviews: The train split, part of which is held out for validation.
        recipe: The recipe to train.
        seed: From 0 to 2**32 - 1; determines the initial weights, the split and the order.
        checkpoints: Folder for the checkpoints of this run only (see `run_key`), created if
            missing; the caller removes it when done. Damaged checkpoints are skipped.
        observer: Follows the progress; by default, it is logged.
        unlabeled: The unsupervised split, for a recipe with teachers.
        callbacks: Callbacks of Keras that follow training, such as TensorBoard or MLflow; they see
            one training of all epochs that are left, and the metrics of the validation part.

    Raises:
        ConfigurationError: The seed is out of range, the validation share leaves no reviews to
            train on, a recipe with teachers gets no unlabeled reviews with text, or a callback
            changes weights or learning rate, or stops training: everything that decides the
            weights is in the recipe.
        MissingExtraError: Keras or TensorFlow is not installed.
    """
    check_seed(seed)
    observer = observer or TrainingObserver()
    keras = import_keras()
    import tensorflow as tf

    tf.config.experimental.enable_op_determinism()
    data = prepare_training_data(
        reviews, unlabeled, recipe, seed, checkpoints / "teachers", observer.taught
    )
    training, validation = data.training, data.validation
    epochs, steps = recipe.training.epochs, -(-len(training) // recipe.training.batch_size)
    accuracy = _accuracy(keras)
    history, model = load_checkpoint(checkpoints, accuracy)
    if model is None:
        model = _compiled(keras, training, seed, epochs * steps, accuracy)
    checked = model
    if recipe.teachers is not None:
        checked = without_vectors(model)
        checked.compile(loss="binary_crossentropy", metrics=[accuracy])
    observer.started(_summary(model), epochs, steps)
    watching = Watching(callbacks, model, epochs, steps)
    watching.call("on_train_begin")
    for number in range(len(history) + 1, epochs + 1):
        started = time.perf_counter()
        _seed_dropout(model, seed, number)
        watching.call("on_epoch_begin", number - 1)
        figures = model.fit(
            training.epoch(np.random.default_rng([seed, number])),
            shuffle=False,  # already shuffled by `epoch`
            verbose=0,
            callbacks=[watching.steps(partial(observer.stepped, number))],
        ).history
        # Not within `fit`, which replaces the weights by their average only at its very end.
        loss, right = _figures({name: values[0] for name, values in figures.items()})
        val_loss, val_right = (
            _figures(checked.evaluate(validation.in_order(), verbose=0, return_dict=True))
            if len(validation)
            else (None, None)
        )
        seconds = round(time.perf_counter() - started, 2)
        history.append(Epoch(number, loss, right, val_loss, val_right, seconds))
        watching.call("on_epoch_end", number - 1, history[-1].logs)
        save_checkpoint(checkpoints, model, history)
        observer.finished(history[-1], epochs)
    watching.call("on_train_end", history[-1].logs)
    ngrams = None
    if recipe.teachers is not None and data.teaching is not None:
        ngrams = data.teaching.ngrams
        model = _with_ngrams(checked, data.teaching, validation, recipe, recipe.teachers)
    return TrainedModel(model, data.vocabulary, recipe, seed, tuple(history), ngrams)


def check_seed(seed: int) -> None:
    """Check the range of a seed.

    Raises:
        ConfigurationError: The seed is out of range.
    """
    if not 0 <= seed < 2**32:
        raise ConfigurationError(
            "The seed must be an integer from 0 to 4294967295.",
            f"It is {seed}.",
            "Choose another `seed`.",
        )


def run_key(
    recipe: Recipe,
    seed: int,
    data: str,
    unlabeled: str | None = None,
    revision: int = TRAINING_REVISION,
) -> str:
    """Return a name for a training run, by all that determines its weights.

    Args:
        recipe: The recipe.
        seed: The seed.
        data: Fingerprint of the train split.
        unlabeled: Fingerprint of the unsupervised split, for a recipe with teachers.
        revision: See `config.TRAINING_REVISION`.
    """
    settings = {"recipe": recipe.to_dict(), "seed": seed, "data": data, "revision": revision}
    if unlabeled is not None:
        settings["unlabeled"] = unlabeled
    digest = sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
    return f"{recipe.name}-{seed}-{digest[:12]}"


def _compiled(
    keras: Any, training: Dataset, seed: int, steps: int, accuracy: object
) -> keras.Model:
    recipe = training.recipe
    losses, weights = ["binary_crossentropy"], [1.0]
    metrics: list[list[object]] = [[accuracy]]
    if recipe.teachers is None:
        model = build_network(recipe.encoding, recipe.network, seed)
    else:
        sizes = [target.shape[1] for target in training.targets[1:]]
        model = build_student(
            recipe.encoding, recipe.network, recipe.regularization, sum(sizes), seed
        )
        losses += ["cosine_similarity" for _ in sizes]
        weights += [recipe.teachers.vector_weight for _ in sizes]
        metrics += [[] for _ in sizes]
    optimizer = _optimizer(keras, recipe.training, steps)
    model.compile(optimizer=optimizer, loss=losses, loss_weights=weights, metrics=metrics)
    return model


def _figures(values: Mapping[str, float]) -> tuple[float, float]:
    """Return loss and accuracy of the probabilities, not of other outputs."""
    prefix = "positive_" if "positive_loss" in values else ""
    return values[f"{prefix}loss"], values[f"{prefix}accuracy"]


def _optimizer(keras: Any, config: TrainingConfig, steps: int) -> keras.optimizers.Optimizer:
    rate: Any = config.learning_rate
    if config.warm_up_steps:
        rate = keras.optimizers.schedules.CosineDecay(
            initial_learning_rate=0.0,
            decay_steps=max(steps - config.warm_up_steps, 1),
            warmup_target=rate,
            warmup_steps=config.warm_up_steps,
        )
    return keras.optimizers.Adam(
        rate,
        clipnorm=config.clip_norm,
        use_ema=config.averaging > 0,
        ema_momentum=config.averaging,
    )


def _seed_dropout(model: keras.Model, seed: int, epoch: int) -> None:
    """Make dropout depend only on the seed and the epoch, so that a resumed run repeats it."""
    for position, layer in enumerate(model.layers):
        if hasattr(layer, "seed_generator"):
            state = np.random.default_rng([seed, epoch, position]).integers(2**32, size=2)
            layer.seed_generator.state.assign(state.astype(np.uint32))


def _accuracy(keras: Any) -> Callable[[Any, Any], Any]:
    """Return the metric ``accuracy``, which also takes probabilities as targets."""

    def accuracy(targets: Any, probabilities: Any) -> Any:
        return keras.ops.equal(targets > 0.5, probabilities > 0.5)

    return accuracy


def _with_ngrams(
    student: keras.Model,
    teaching: Teaching,
    validation: Dataset,
    recipe: Recipe,
    config: TeachersConfig,
) -> keras.Model:
    """Return the network of a trained student and n-grams, its tables rounded to 8 bits.

    The weights of the two are fitted on reviews that neither has learned from (Wolpert, 1992,
    Stacked Generalization), which also calibrates the probabilities.
    """
    words = student.get_layer("words")
    words.set_weights([rounded(np.asarray(words.get_weights()[0], np.float32))])
    weights = np.zeros(recipe.network.ngrams + 1, np.float32)
    weights[1 : len(teaching.ngrams) + 1] = rounded(teaching.ngram_weights)
    probabilities = student.predict(validation.in_order(), verbose=0)[:, 0].astype(np.float64)
    smallest = np.finfo(np.float32).eps
    probabilities = np.clip(probabilities, smallest, 1 - smallest)
    rows = validation.ordered_rows()
    log_odds = np.stack(
        [
            np.log(probabilities / (1 - probabilities)),
            teaching.ngrams.log_odds(validation.sequences, weights)[rows],
        ],
        axis=1,
    )
    labels = validation.targets[0][rows, 0].astype(np.int8)
    positive = float(teaching.targets.mean(dtype=np.float64))
    prior = math.log(positive / (1 - positive))
    shares, bias = fit_shares(log_odds, labels, prior, config.share_c, config.weight_iterations)
    of_student, of_ngrams = shares.tolist()
    logger.info(
        "weight of the student %.3f, of n-grams %.3f, bias %.3f: "
        "accuracy %.2f %% on %d validation reviews",
        *(of_student, of_ngrams, bias),
        *(100 * ((log_odds @ shares + bias > 0) == labels).mean(), len(labels)),
    )
    return join(student, weights, (of_student, of_ngrams), bias, recipe.encoding, recipe.network)


def _summary(model: keras.Model) -> str:
    lines: list[str] = []
    model.summary(line_length=80, print_fn=lines.append)
    return "\n".join(lines)
