"""What a network is to learn: encoded reviews and targets, in a part for training and one to check.

In a recipe with teachers, the unlabelled reviews stand behind the labelled ones, with what the
teachers make of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from imdb_classifier.batching import length_buckets, network_inputs, shuffled_batches
from imdb_classifier.config import EncodingConfig, Recipe
from imdb_classifier.encoding import (
    UNKNOWN,
    TokenSequences,
    Vocabulary,
    cap,
    encode,
    encode_reviews,
)
from imdb_classifier.errors import ConfigurationError
from imdb_classifier.imdb import Reviews
from imdb_classifier.schema import TEXT
from imdb_classifier.teachers import teach

if TYPE_CHECKING:
    import tensorflow as tf

_VALIDATION_BATCH_ROWS = 256


class Lessons:
    """Encoded reviews and what is to be learned of them, handed to Keras as batches.

    Args:
        sequences: The reviews.
        targets: float32, (reviews, 1), probabilities of positive; with teachers also (reviews,
            vector_size), document vectors.
        recipe: What the batches are for.
    """

    def __init__(
        self, sequences: TokenSequences, targets: tuple[NDArray[np.float32], ...], recipe: Recipe
    ) -> None:
        self.sequences = sequences
        self.targets = targets
        self.recipe = recipe

    def __len__(self) -> int:
        return len(self.sequences)

    def epoch(self, generator: np.random.Generator) -> tf.data.Dataset:
        """Every review once, in an order of the generator's, less some words."""
        batches = shuffled_batches(
            self.sequences.lengths,
            self.recipe.training.batch_size,
            generator,
            bucketed=self.recipe.network.masked,
        )
        ids, share = self.sequences.ids, self.recipe.regularisation.word_dropout
        if share:
            dropped = generator.random(len(ids), dtype=np.float32) < share
            ids = np.where(dropped, np.int32(UNKNOWN), ids)
        return self._dataset(TokenSequences(ids, self.sequences.offsets), batches)

    def in_order(self) -> tf.data.Dataset:
        """Every review once, in the order of `ordered_targets`."""
        return self._dataset(self.sequences, self._ordered_batches())

    def ordered_targets(self) -> NDArray[np.float32]:
        """What is to be learned: float32, (reviews,), in an order that never changes."""
        ordered: NDArray[np.float32] = self.targets[0][np.concatenate(self._ordered_batches()), 0]
        return ordered

    def _ordered_batches(self) -> list[NDArray[np.int64]]:
        return length_buckets(self.sequences.lengths, _VALIDATION_BATCH_ROWS)

    def _dataset(
        self, sequences: TokenSequences, batches: Sequence[NDArray[np.int64]]
    ) -> tf.data.Dataset:
        import tensorflow as tf

        def padded() -> Iterator[Any]:
            for rows in batches:
                targets = tuple(target[rows] for target in self.targets)
                yield network_inputs(self.recipe, sequences.take(rows)), targets

        # Keras would guess the shapes from the first two batches, and fail at the first wider one
        # where these happen to be of one width.
        steps = None if self.recipe.network.masked else self.recipe.encoding.sequence_length
        ids = tf.TensorSpec((None, steps), tf.int32)
        inputs = (ids, ids) if self.recipe.network.pair_slots else ids
        sizes = (target.shape[1] for target in self.targets)
        shapes = inputs, tuple(tf.TensorSpec((None, size), tf.float32) for size in sizes)
        dataset = tf.data.Dataset.from_generator(padded, output_signature=shapes)
        return dataset.apply(tf.data.experimental.assert_cardinality(len(batches))).prefetch(2)


@dataclass(frozen=True)
class Curriculum:
    """All that a training run learns from.

    Attributes:
        vocabulary: The words with ids of their own.
        training: To learn.
        validation: To check with; without reviews where the recipe holds none out.
    """

    vocabulary: Vocabulary
    training: Lessons
    validation: Lessons


def prepare_lessons(
    reviews: Reviews,
    unlabelled: Reviews | None,
    recipe: Recipe,
    seed: int,
    folder: Path,
    readings: Path,
) -> Curriculum:
    """Split and encode reviews, and have teachers label the others if the recipe has any.

    Args:
        reviews: The train split.
        unlabelled: The unsupervised split, for a recipe with teachers.
        recipe: What is to be trained.
        seed: Decides the split and what teachers draw.
        folder: Keeps what each teacher found, see `teachers.teach`.
        readings: Keeps what language models learn without labels, likewise.

    Raises:
        ConfigurationError: The validation share leaves no reviews, or a recipe with teachers is
            given no unlabelled reviews with text.
    """
    training_rows, validation_rows = split(len(reviews), recipe, seed)
    vocabulary, sequences, targets = _encoded_and_taught(
        reviews, unlabelled, recipe, seed, (training_rows, validation_rows), folder, readings
    )
    learned_rows = np.concatenate([training_rows, np.arange(len(reviews), len(sequences))])
    training, validation = (
        Lessons(sequences.take(rows), tuple(target[rows] for target in targets), recipe)
        for rows in (learned_rows, validation_rows)
    )
    return Curriculum(vocabulary, training, validation)


def _encoded_and_taught(
    reviews: Reviews,
    unlabelled: Reviews | None,
    recipe: Recipe,
    seed: int,
    rows: tuple[NDArray[np.int64], NDArray[np.int64]],
    folder: Path,
    readings: Path,
) -> tuple[Vocabulary, TokenSequences, tuple[NDArray[np.float32], ...]]:
    """Vocabulary, encoded reviews, and what is to be learned of each: (reviews, 1) probabilities.

    With teachers, document vectors are to be learned as well.
    """
    labels = reviews.labels.astype(np.float32)[:, None]
    if recipe.teachers is None:
        vocabulary = vocabulary_of(reviews, recipe)
        return vocabulary, encode_reviews(reviews.table, vocabulary, recipe.encoding), (labels,)
    if unlabelled is None or TEXT not in reviews.table.column_names:
        raise ConfigurationError(
            f"The recipe '{recipe.name}' learns from reviews with text, some without a label.",
            f"The {reviews.source} reviews have no unsupervised split with text.",
            "Name others with --data, or choose another recipe.",
        )
    texts = pa.concat_tables([reviews.table, unlabelled.table])[TEXT]
    words = Vocabulary.count(texts)
    whole = encode(texts, words, EncodingConfig(len(words) + 4, 1).uncut)
    teaching = teach(
        whole,
        np.concatenate([reviews.labels, unlabelled.labels]),
        *rows,
        recipe.teachers,
        seed,
        folder,
        readings,
    )
    taught = np.concatenate([labels, teaching.probabilities[len(labels) :, None]])
    vocabulary = words.head(recipe.encoding.vocabulary_words)
    return vocabulary, cap(whole, recipe.encoding), (taught, teaching.vectors)


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
