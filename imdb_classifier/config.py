"""Recipes: how reviews are encoded, and how a model is built and trained."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Final, Literal

from imdb_classifier.errors import ConfigurationError
from imdb_classifier.settings import at_least, part_of, positive, require, share

TRAINING_REVISION: Final = 5
"""Raised whenever the code trains other weights from the same recipe, data and seed. Bundles
without a revision have 1."""


@dataclass(frozen=True)
class EncodingConfig:
    """How texts become token ids: 0 padding, 1 start, 2 unknown, r + 3 the word of rank r.

    Attributes:
        num_words: Size of the vocabulary; ids from here on become 2 (unknown).
        sequence_length: Number of tokens kept per review, including the start token. Longer reviews
            are truncated at the front.
        text_form: How words are cut and spelled: ``keras``, as Keras cuts them, or ``normal``, in
            which typography makes no difference.
        ngram_parts: Whether n-grams of a review's beginning and end are n-grams of their own, see
            `ngrams.REVIEW_PARTS`.
        names: Whether names have ids of their own, see `training.names`, or are unknown words.
    """

    num_words: int
    sequence_length: int
    text_form: str = "keras"
    ngram_parts: bool = False
    names: bool = True

    def __post_init__(self) -> None:
        at_least(self, 4, "num_words")
        at_least(self, 1, "sequence_length")
        require(
            self.text_form in ("keras", "normal"),
            "text_form must be keras or normal.",
            "text_form",
            self.text_form,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain JSON values, as manifests and hashes have them.

        Settings that equal what all bundles had before the setting existed are left out, so that
        their hashes stay the same.
        """
        former = {"text_form": "keras", "ngram_parts": False, "names": True}
        return {name: value for name, value in asdict(self).items() if former.get(name) != value}

    @property
    def vocabulary_words(self) -> int:
        """Number of words that have their own id."""
        return self.num_words - 4

    @property
    def untruncated(self) -> EncodingConfig:
        """The same encoding without truncation."""
        return replace(self, sequence_length=2**31 - 1)


@dataclass(frozen=True)
class NetworkConfig:
    """The architecture of a network, see `network.build_network`.

    Attributes:
        embedding_dim: Size of a word vector.
        lstm_units: Size of the LSTM's state, in each direction.
        masked: Whether padding follows the tokens and is masked. If not, as in the Keras tutorial,
            padding precedes the tokens, up to sequence_length, and passes through the LSTM as
            token 0.
        ngrams: Maximum number of n-grams with a weight. If 0, the network is one LSTM and
            classifies its last state. Otherwise it is a bidirectional LSTM, pooled over time, and
            the sum of the weights of the review's n-grams is added.
        lstm_tokens: Number of tokens at the end of a review that the LSTM of a network with n-grams
            reads; if 0, and without n-grams, it reads all of them.
    """

    embedding_dim: int
    lstm_units: int
    masked: bool
    ngrams: int = 0
    lstm_tokens: int = 0

    def __post_init__(self) -> None:
        at_least(self, 1, "embedding_dim", "lstm_units")
        at_least(self, 0, "lstm_tokens")
        require(
            self.ngrams == 0 or (self.ngrams >= 1 and self.masked),
            "ngrams must be 0, or at least 1 if the network is masked.",
            "ngrams",
            self.ngrams,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain JSON values.

        `lstm_tokens` is left out if it is 0, as in bundles from before the setting.
        """
        values = asdict(self)
        if not self.lstm_tokens:
            del values["lstm_tokens"]
        return values


@dataclass(frozen=True)
class RegularizationConfig:
    """Dropout rates for training a network with teachers, each in [0, 1).

    Attributes:
        word_dropout: Share of the words that become unknown (Iyyer et al., 2015).
        input_dropout: Share of the word vectors' elements that are dropped, the same ones
            throughout a review (Gal and Ghahramani, 2016).
        output_dropout: Share of the pooled features that are dropped.
    """

    word_dropout: float
    input_dropout: float
    output_dropout: float

    def __post_init__(self) -> None:
        share(self, "word_dropout", "input_dropout", "output_dropout")


NO_REGULARIZATION: Final = RegularizationConfig(0.0, 0.0, 0.0)


@dataclass(frozen=True)
class TeachersConfig:
    """The teacher models that say how positive reviews are.

    Attributes:
        minimum_reviews: Minimum number of reviews that an n-gram must occur in.
        vector_size: Size of a document vector.
        vector_passes: Number of passes over all reviews to train the document vectors.
        vector_weight: Weight of the auxiliary loss for predicting the document vectors.
        ratio_smoothing: Occurrences added to each n-gram's count before log count ratios are taken.
        ratio_c: Inverse regularization strength (scikit-learn's `C`) of the regression on ratios.
        tf_idf_c: Inverse regularization strength of the regression on TF-IDF.
        regression_iterations: Number of iterations after which these two regressions stop.
        kept_ratio: Absolute log count ratio from which document vectors never skip an n-gram.
        sharpness: Log-odds of a true pair of review and n-gram with vectors of one direction.
        random_pair_weight: Weight of a random pair; as many are drawn as there are true pairs.
        random_pair_power: Power of an n-gram's frequency with which it is drawn for random pairs.
        random_pairs: Random n-grams drawn per pass; if there are too few, they are used again.
        review_rate: Initial learning rate of the document vectors.
        ngram_rate: Initial learning rate of the n-grams' vectors.
        last_rate: Share of their initial values that these rates have in the last pass.
        svd_iterations: Power iterations of the latent semantic analysis that initializes vectors.
        prior_reviews: Zero vectors added to each n-gram's mean vector, which shrinks rare ones'.
        ngram_c: Inverse regularization strength of the regression on document vectors.
        share_c: Inverse regularization strength of the shares of LSTM and n-grams.
        weight_iterations: Maximum number of iterations of the last two regressions; they converge.
        label_share: Share of the label in the target of a labeled review; the rest is the
            probability that the teachers give to it.
        ratio_unit: Absolute log count ratio of an n-gram whose weight costs as much as it would
            in a regression without ratios.
        largest_ratio: Absolute log count ratio, in this unit, from which weights cost no less.
        part_scale: Factor of the ratios of n-grams that are looked for in a part of a review only.
        penalty: Strength of the penalty on squared n-gram weights, beside a review's mean loss.
        penalized_iterations: Number of iterations after which this regression stops.
        opinion_weight: Absolute weight, in all parts together, from which a word counts as opinion.
        negated: How many times a word's weight is taken from n-grams that negate it; 0 for none.
        negation_weight: Added to n-grams that negate blame, as the negation is blame by itself.
    """

    minimum_reviews: int
    vector_size: int
    vector_passes: int
    vector_weight: float
    ratio_smoothing: float = 1.0
    ratio_c: float = 10.0
    tf_idf_c: float = 30.0
    regression_iterations: int = 60
    kept_ratio: float = 2.0
    sharpness: float = 6.0
    random_pair_weight: float = 2.0
    random_pair_power: float = 0.75
    random_pairs: int = 4_000_000
    review_rate: float = 4.0
    ngram_rate: float = 0.01
    last_rate: float = 0.03
    svd_iterations: int = 2
    prior_reviews: float = 3.0
    ngram_c: float = 0.2
    share_c: float = 1e4
    weight_iterations: int = 1_000
    label_share: float = 0.5
    ratio_unit: float = 0.5
    largest_ratio: float = 4.0
    part_scale: float = 0.6
    penalty: float = 3e-7
    penalized_iterations: int = 120
    opinion_weight: float = 0.5
    negated: float = 1.8
    negation_weight: float = 2.0

    def __post_init__(self) -> None:
        not_negative = {
            "vector_weight", "random_pair_weight", "svd_iterations", "prior_reviews", "label_share",
            "negated", "negation_weight",
        }  # fmt: skip
        at_least(self, 0, *sorted(not_negative))
        require(
            self.label_share <= 1,
            "label_share must be at most 1.",
            "label_share",
            self.label_share,
        )
        positive(self, *(field.name for field in fields(self) if field.name not in not_negative))


@dataclass(frozen=True)
class TrainingConfig:
    """Settings of the training loop, which minimizes binary cross-entropy with Adam.

    Attributes:
        epochs: Number of passes over the training part.
        batch_size: Number of reviews per step.
        learning_rate: Adam's learning rate; its peak if there is a warm-up.
        validation_fraction: Share of the reviews held out for validation, in [0, 1).
        warm_up_steps: Number of steps in which the learning rate rises from 0, before it falls to 0
            along a cosine (Loshchilov and Hutter, 2017). If 0, the learning rate is constant.
        averaging: Momentum of the weight average that each epoch ends with (Polyak and Juditsky,
            1992), in [0, 1). If 0, weights are not averaged.
        clip_norm: Maximum norm of the gradient of each weight array; None for no clipping.
        split: How reviews are held out: ``random``, or ``grouped``: equal texts stay together, and
            the share is that of each label.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    validation_fraction: float
    warm_up_steps: int = 0
    averaging: float = 0.0
    clip_norm: float | None = None
    split: str = "random"

    def __post_init__(self) -> None:
        at_least(self, 1, "epochs", "batch_size")
        at_least(self, 0, "warm_up_steps")
        share(self, "averaging", "validation_fraction")
        positive(self, "learning_rate", *(["clip_norm"] if self.clip_norm is not None else []))
        require(
            self.split in ("random", "grouped"),
            "split must be random or grouped.",
            "split",
            self.split,
        )


_STORED_REGULARIZATION: Final = "regularisation"
"""Key in manifests, in the spelling of models trained before."""


@dataclass(frozen=True)
class Recipe:
    """A named set of training settings: everything but the data and the seed.

    Attributes:
        teachers: If set, the network has n-grams, also learns from the unsupervised split, and its
            probabilities are calibrated on the validation part.
    """

    name: str
    encoding: EncodingConfig
    network: NetworkConfig
    training: TrainingConfig
    regularization: RegularizationConfig = NO_REGULARIZATION
    teachers: TeachersConfig | None = None

    def __post_init__(self) -> None:
        require(
            re.fullmatch(r"[A-Za-z0-9][\w.-]{0,63}", self.name, re.ASCII) is not None,
            "The name of a recipe must be up to 64 letters, digits, dots, hyphens and underscores.",
            "name",
            self.name,
        )
        require(
            self.teachers is None or self.training.validation_fraction > 0,
            "A recipe with teachers needs validation data.",
            "validation_fraction",
            self.training.validation_fraction,
        )
        require(
            (self.teachers is None) == (self.network.ngrams == 0),
            "A recipe must have both teachers and n-grams, or neither.",
            "ngrams",
            self.network.ngrams,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the recipe as plain JSON values."""
        values = asdict(self) | {
            "encoding": self.encoding.to_dict(),
            "network": self.network.to_dict(),
        }
        values[_STORED_REGULARIZATION] = values.pop("regularization")
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Recipe:
        """Return the recipe that `to_dict` describes.

        Raises:
            ConfigurationError: A key is missing, unknown, or out of range.
        """
        try:
            teachers = values["teachers"]
            if teachers is not None:
                # Models from before a setting were trained without it.
                former = dict.fromkeys(("negated", "negation_weight"), 0.0)
                teachers = part_of(TeachersConfig, former | teachers)
            return cls(
                name=values["name"],
                encoding=part_of(EncodingConfig, values["encoding"]),
                network=part_of(NetworkConfig, values["network"]),
                training=part_of(TrainingConfig, values["training"]),
                regularization=part_of(RegularizationConfig, values[_STORED_REGULARIZATION]),
                teachers=teachers,
            )
        except (AttributeError, KeyError, TypeError) as error:
            raise ConfigurationError(
                "A recipe must have exactly the keys that this release writes.",
                f"This one does not fit: {error}.",
                "Use a model bundle from this release, or retrain the model.",
            ) from error


SEED: Final = Recipe(
    name="seed",
    encoding=EncodingConfig(num_words=5_000, sequence_length=500),
    network=NetworkConfig(embedding_dim=32, lstm_units=100, masked=False),
    training=TrainingConfig(epochs=3, batch_size=64, learning_rate=0.001, validation_fraction=0.33),
)
"""The network of the classic Keras tutorial, whose published test accuracy is 86.79%."""

TINY: Final = Recipe(
    name="tiny",
    encoding=EncodingConfig(num_words=1_000, sequence_length=100, text_form="normal"),
    network=NetworkConfig(embedding_dim=8, lstm_units=8, masked=True),
    training=TrainingConfig(
        epochs=4, batch_size=16, learning_rate=0.01, validation_fraction=0.2, split="grouped"
    ),
)
"""For tests and demonstrations: learns from a few hundred short reviews in seconds."""

PRODUCTION: Final = Recipe(
    name="production",
    encoding=EncodingConfig(
        num_words=30_000, sequence_length=3_000, text_form="normal", ngram_parts=True, names=False
    ),
    network=NetworkConfig(
        embedding_dim=48, lstm_units=32, masked=True, ngrams=550_000, lstm_tokens=128
    ),
    training=TrainingConfig(
        epochs=5,
        batch_size=128,
        learning_rate=0.003,
        validation_fraction=0.1,
        warm_up_steps=200,
        averaging=0.998,
        clip_norm=1.0,
        split="grouped",
    ),
    regularization=RegularizationConfig(word_dropout=0.1, input_dropout=0.3, output_dropout=0.3),
    teachers=TeachersConfig(
        minimum_reviews=6,
        vector_size=400,
        vector_passes=24,
        vector_weight=0.5,
    ),
)
"""For real use: fast on a CPU, and also trained on unlabeled reviews with teacher models."""

RecipeName = Literal["production", "seed", "tiny"]
RECIPES: Final[Mapping[str, Recipe]] = {recipe.name: recipe for recipe in (PRODUCTION, SEED, TINY)}


def recipe(name: str) -> Recipe:
    """Return the recipe of a given name.

    Raises:
        ConfigurationError: There is no such recipe.
    """
    if name not in RECIPES:
        raise ConfigurationError(
            f"The recipe must be one of: {', '.join(RECIPES)}.",
            f"It is '{name}'.",
            "Choose one of them as `recipe`.",
        )
    return RECIPES[name]
