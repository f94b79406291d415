"""Training data: encoded reviews with their targets, split into training and validation parts.

In a recipe with teachers, the training part also contains the unlabeled reviews, with the
probabilities that the teachers predict for them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from imdb_classifier.config import Recipe
from imdb_classifier.errors import ConfigurationError, counted
from imdb_classifier.reviews.dataset import Reviews
from imdb_classifier.reviews.overlap import row_fingerprints
from imdb_classifier.schema import TEXT
from imdb_classifier.text.batching import length_buckets, padded, shuffled_batches
from imdb_classifier.text.encoding import (
    UNKNOWN,
    TokenSequences,
    Vocabulary,
    encode,
    encode_reviews,
)
from imdb_classifier.training.names import names_in
from imdb_classifier.training.teachers import Predictions, Teaching, teach

if TYPE_CHECKING:
    import tensorflow as tf

_VALIDATION_BATCH_ROWS = 256


class Dataset:
    """Encoded reviews with their targets, passed to Keras in batches.

    Args:
        sequences: The reviews.
        targets: float32, (reviews, 1), probabilities of *positive*; to learn from teachers, also
            float32, (reviews, vector_size), document vectors, if they have any.
        recipe: The recipe to train; determines batch size, padding and word dropout.
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
        """Return every review once, in random order and with word dropout."""
        batches = shuffled_batches(
            self.sequences.lengths,
            self.recipe.training.batch_size,
            generator,
            bucketed=self.recipe.network.masked,
        )
        ids, share = self.sequences.ids, self.recipe.regularization.word_dropout
        if share:
            dropped = generator.random(len(ids), dtype=np.float32) < share
            ids = np.where(dropped, np.int32(UNKNOWN), ids)
        return self._dataset(TokenSequences(ids, self.sequences.offsets), batches)

    def in_order(self) -> tf.data.Dataset:
        """Return every review once, in the order of `ordered_rows`."""
        return self._dataset(self.sequences, self._ordered_batches())

    def ordered_rows(self) -> NDArray[np.int64]:
        """Return the rows in a fixed order."""
        return np.concatenate(self._ordered_batches())

    def _ordered_batches(self) -> list[NDArray[np.int64]]:
        return length_buckets(self.sequences.lengths, _VALIDATION_BATCH_ROWS)

    def _dataset(
        self, sequences: TokenSequences, batches: Sequence[NDArray[np.int64]]
    ) -> tf.data.Dataset:
        import tensorflow as tf

        def examples() -> Iterator[Any]:
            for rows in batches:
                targets = tuple(target[rows] for target in self.targets)
                yield padded(self.recipe, sequences.take(rows)), targets

        # Keras would infer the shapes from the first two batches; if both happen to have the same
        # width, it would fail at the first wider batch.
        steps = None if self.recipe.network.masked else self.recipe.encoding.sequence_length
        ids = tf.TensorSpec((None, steps), tf.int32)
        sizes = (target.shape[1] for target in self.targets)
        shapes = ids, tuple(tf.TensorSpec((None, size), tf.float32) for size in sizes)
        dataset = tf.data.Dataset.from_generator(examples, output_signature=shapes)
        return dataset.apply(tf.data.experimental.assert_cardinality(len(batches))).prefetch(2)


@dataclass(frozen=True)
class TrainingData:
    """All that a training run learns from.

    Attributes:
        vocabulary: The words that have their own id.
        training: The training part.
        validation: The validation part, all of it labeled; empty if the recipe holds none out.
        teaching: The teachers' predictions; None if the recipe has no teachers.
    """

    vocabulary: Vocabulary
    training: Dataset
    validation: Dataset
    teaching: Teaching | None = None


def prepare_training_data(
    reviews: Reviews,
    unlabeled: Reviews | None,
    recipe: Recipe,
    seed: int,
    folder: Path,
    taught: Callable[[int, int], None] | None = None,
) -> TrainingData:
    """Split and encode reviews; in a recipe with teachers, have them label the unlabeled ones.

    Args:
        reviews: The train split.
        unlabeled: The unsupervised split, for a recipe with teachers.
        recipe: The recipe to train.
        seed: Determines the split, except that of reviews with predictions of the large LSTM, and
            the teachers' random numbers.
        folder: Folder for the teachers' results, see `teachers.teach`.
        taught: Called as the teachers proceed, see `teachers.teach`.

    Raises:
        ConfigurationError: The validation share leaves no reviews to train on, a recipe with
            teachers gets no unlabeled reviews with text, or the reviews are token ids of another
            form of text than the recipe's.
    """
    if recipe != recipe_for(reviews, recipe):
        raise ConfigurationError(
            "Reviews that are given as Keras' token ids need a recipe with text_form keras.",
            f"The recipe '{recipe.name}' has text_form {recipe.encoding.text_form}.",
            "Choose reviews with text for `data`, or another `recipe`.",
        )
    labels = reviews.labels.astype(np.float32)[:, None]
    if recipe.teachers is None:
        training_rows, validation_rows = split(reviews, recipe, seed)
        vocabulary = vocabulary_of(reviews, recipe)
        sequences = encode_reviews(reviews.table, vocabulary, recipe.encoding)
        training, validation = (
            Dataset(sequences.take(rows), (labels[rows],), recipe)
            for rows in (training_rows, validation_rows)
        )
        return TrainingData(vocabulary, training, validation)
    if unlabeled is None or TEXT not in reviews.table.column_names:
        raise no_unlabeled(recipe, reviews.source)
    training_rows, validation_rows = split(reviews, recipe, seed)
    predictions = Predictions.of(reviews, unlabeled)
    if predictions is not None:
        # Of the reviews of IMDB, those are held out whose labels the teacher does not know, too.
        is_held_out = predictions.held_out.copy()
        added = np.isnan(predictions.log_odds[validation_rows])
        is_held_out[validation_rows[added]] = True
        training_rows, validation_rows = map(np.flatnonzero, (~is_held_out, is_held_out))
    texts = pa.concat_tables([reviews.table, unlabeled.table])[TEXT]
    vocabulary = _counted(texts, recipe)
    sequences = encode(texts, vocabulary, recipe.encoding)
    learned_rows = np.concatenate([training_rows, np.arange(len(reviews), len(sequences))])
    teaching = teach(
        sequences,
        vocabulary,
        np.concatenate([reviews.labels, unlabeled.labels]),
        learned_rows,
        validation_rows,
        recipe.teachers,
        recipe.network.ngrams,
        recipe.encoding.ngram_parts,
        seed,
        folder,
        predictions,
        taught,
    )
    targets = teaching.targets[:, None]
    vectors = () if teaching.vectors is None else (teaching.vectors,)
    return TrainingData(
        vocabulary,
        Dataset(sequences.take(learned_rows), (targets, *vectors), recipe),
        Dataset(sequences.take(validation_rows), (labels[validation_rows],), recipe),
        teaching,
    )


def recipe_for(reviews: Reviews, recipe: Recipe) -> Recipe:
    """Return the recipe for reviews: if they are Keras' ids, with its form of text and names."""
    if reviews.words is None:
        return recipe
    return replace(recipe, encoding=replace(recipe.encoding, text_form="keras", names=True))


def no_unlabeled(recipe: Recipe, source: str) -> ConfigurationError:
    """Return the error for a recipe with teachers whose reviews have no unsupervised split."""
    return ConfigurationError(
        f"The recipe '{recipe.name}' needs labeled and unlabeled reviews with their text.",
        f"The {source} reviews have no unsupervised split with text.",
        "Choose other reviews with `data`, or another `recipe`.",
    )


def vocabulary_of(reviews: Reviews, recipe: Recipe) -> Vocabulary:
    """Return the words that get their own id: the data's own word list, else the most frequent."""
    if reviews.words is not None:
        return Vocabulary(reviews.words[: recipe.encoding.vocabulary_words])
    return _counted(reviews.table[TEXT], recipe)


def _counted(texts: pa.ChunkedArray, recipe: Recipe) -> Vocabulary:
    words = Vocabulary.count(texts, recipe.encoding.text_form).words
    if not recipe.encoding.names:
        words = words.filter(pc.invert(pc.is_in(words, value_set=names_in(texts))))
    return Vocabulary(words).head(recipe.encoding.vocabulary_words)


def split(
    reviews: Reviews, recipe: Recipe, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the training rows and the validation rows, drawn with the seed.

    Args:
        reviews: The train split.
        recipe: Determines the share that is held out, and how; see `config.TrainingConfig`.
        seed: From 0 to 2**32 - 1.

    Raises:
        ConfigurationError: No rows are left to train on.
    """
    share = recipe.training.validation_fraction
    if recipe.training.split == "random":
        parts = random_split(len(reviews), share, seed)
    else:
        parts = _grouped_split(reviews, share, seed)
    if len(parts[0]) == 0:
        raise ConfigurationError(
            "At least one labeled review must be left to train on.",
            f"The data has {counted(len(reviews), 'labeled review')}.",
            "Add more with `data` or `extra_train`.",
        )
    return parts


def random_split(rows: int, share: float, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return training and validation rows in random order, each row drawn by itself."""
    order = np.random.default_rng(seed).permutation(rows)
    training_rows = round(rows * (1 - share))
    return order[:training_rows], order[training_rows:]


def _grouped_split(
    reviews: Reviews, share: float, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return training and validation rows in random order; equal texts are in the same part.

    Of each label, the share is held out, or less if the next group of equal texts does not fit.
    Texts that have both labels count as those of their first row.
    """
    order = np.random.default_rng(seed).permutation(len(reviews))
    _, first, groups, sizes = np.unique(
        row_fingerprints(reviews.table), return_index=True, return_inverse=True, return_counts=True
    )
    labels = reviews.labels[first]
    wanted = {label: round(share * sizes[labels == label].sum()) for label in np.unique(labels)}
    held_out = np.zeros(len(sizes), bool)
    for group in dict.fromkeys(groups[order].tolist()):
        if sizes[group] <= wanted[labels[group]]:
            wanted[labels[group]] -= sizes[group]
            held_out[group] = True
    is_validation = held_out[groups][order]
    return order[~is_validation], order[is_validation]
