"""Recipes: how reviews are encoded, and how a model is built and trained."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Final, Literal, TypeVar

from imdb_classifier.errors import ConfigurationError

Part = TypeVar("Part")


def _require(holds: bool, rule: str, name: str, value: object) -> None:
    if not holds:
        raise ConfigurationError(rule, f"{name} is {value!r}.", f"Choose another value for {name}.")


@dataclass(frozen=True)
class EncodingConfig:
    """The sizes of Keras' IMDB encoding: 0 padding, 1 start, 2 unknown, r + 3 the word of rank r.

    Attributes:
        num_words: Size of the vocabulary; ids from here on become 2 (unknown).
        sequence_length: Number of tokens kept per review, including the start token. Longer reviews
            are truncated at the front.
    """

    num_words: int
    sequence_length: int

    def __post_init__(self) -> None:
        _require(
            self.num_words >= 4,
            "num_words must be at least 4.",
            "num_words",
            self.num_words,
        )
        _require(
            self.sequence_length >= 1,
            "sequence_length must be at least 1 token.",
            "sequence_length",
            self.sequence_length,
        )

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
    """

    embedding_dim: int
    lstm_units: int
    masked: bool
    ngrams: int = 0

    def __post_init__(self) -> None:
        for name in ("embedding_dim", "lstm_units"):
            value = getattr(self, name)
            _require(value >= 1, f"{name} must be at least 1.", name, value)
        _require(
            self.ngrams == 0 or (self.ngrams >= 1 and self.masked),
            "ngrams must be 0, or at least 1 if the network is masked.",
            "ngrams",
            self.ngrams,
        )


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
        for name, value in asdict(self).items():
            _require(0 <= value < 1, f"{name} must be in [0, 1).", name, value)


NO_REGULARIZATION: Final = RegularizationConfig(0, 0, 0)


@dataclass(frozen=True)
class TeachersConfig:
    """The teacher models that label unlabeled reviews for the network.

    Attributes:
        minimum_reviews: Minimum number of reviews that an n-gram must occur in.
        vector_size: Size of a document vector.
        vector_passes: Number of passes over all reviews to train the document vectors.
        vector_weight: Weight of the auxiliary loss for predicting the document vectors.
    """

    minimum_reviews: int
    vector_size: int
    vector_passes: int
    vector_weight: float

    def __post_init__(self) -> None:
        for name in ("minimum_reviews", "vector_size", "vector_passes"):
            value = getattr(self, name)
            _require(value >= 1, f"{name} must be at least 1.", name, value)
        _require(
            self.vector_weight >= 0,
            "vector_weight must not be negative.",
            "vector_weight",
            self.vector_weight,
        )


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
    """

    epochs: int
    batch_size: int
    learning_rate: float
    validation_fraction: float
    warm_up_steps: int = 0
    averaging: float = 0.0
    clip_norm: float | None = None

    def __post_init__(self) -> None:
        for name, least in (("epochs", 1), ("batch_size", 1), ("warm_up_steps", 0)):
            value = getattr(self, name)
            _require(value >= least, f"{name} must be at least {least}.", name, value)
        _require(
            0 <= self.averaging < 1, "averaging must be in [0, 1).", "averaging", self.averaging
        )
        _require(
            self.learning_rate > 0,
            "learning_rate must be positive.",
            "learning_rate",
            self.learning_rate,
        )
        _require(
            0 <= self.validation_fraction < 1,
            "validation_fraction must be in [0, 1).",
            "validation_fraction",
            self.validation_fraction,
        )


_STORED_REGULARIZATION: Final = "regularisation"
"""Key in manifests, in the spelling of the bundled model, whose files must not change."""


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
        _require(
            re.fullmatch(r"[A-Za-z0-9][\w.-]{0,63}", self.name, re.ASCII) is not None,
            "The name of a recipe must be up to 64 letters, digits, dots, hyphens and underscores.",
            "name",
            self.name,
        )
        _require(
            self.teachers is None or self.training.validation_fraction > 0,
            "A recipe with teachers needs validation data.",
            "validation_fraction",
            self.training.validation_fraction,
        )
        _require(
            (self.teachers is None) == (self.network.ngrams == 0),
            "A recipe must have both teachers and n-grams, or neither.",
            "ngrams",
            self.network.ngrams,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the recipe as plain JSON values."""
        values = asdict(self)
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
            return cls(
                name=values["name"],
                encoding=_made(EncodingConfig, values["encoding"]),
                network=_made(NetworkConfig, values["network"]),
                training=_made(TrainingConfig, values["training"]),
                regularization=_made(RegularizationConfig, values[_STORED_REGULARIZATION]),
                teachers=None if teachers is None else _made(TeachersConfig, teachers),
            )
        except (KeyError, TypeError) as error:
            raise ConfigurationError(
                "A recipe must have exactly the keys that this release writes.",
                f"This one does not fit: {error}.",
                "Use a model bundle from this release, or retrain the model.",
            ) from error


def _made(kind: type[Part], values: Mapping[str, Any]) -> Part:
    """Return a dataclass of plain values, each of the type that its annotation names."""
    made = kind(**values)
    for field in fields(made):  # type: ignore[arg-type]  # a dataclass
        value = getattr(made, field.name)
        given = "None" if value is None else type(value).__name__
        if given not in str(field.type).replace("float", "float | int").split(" | "):
            raise TypeError(f"{field.name} is of type {given}")
    return made


SEED: Final = Recipe(
    name="seed",
    encoding=EncodingConfig(num_words=5_000, sequence_length=500),
    network=NetworkConfig(embedding_dim=32, lstm_units=100, masked=False),
    training=TrainingConfig(epochs=3, batch_size=64, learning_rate=0.001, validation_fraction=0.33),
)
"""The network of the classic Keras tutorial, whose published test accuracy is 86.79%."""

TINY: Final = Recipe(
    name="tiny",
    encoding=EncodingConfig(num_words=1_000, sequence_length=100),
    network=NetworkConfig(embedding_dim=8, lstm_units=8, masked=True),
    training=TrainingConfig(epochs=4, batch_size=16, learning_rate=0.01, validation_fraction=0.2),
)
"""For tests and demonstrations: learns from a few hundred short reviews in seconds."""

PRODUCTION: Final = Recipe(
    name="production",
    encoding=EncodingConfig(num_words=30_000, sequence_length=3_000),
    network=NetworkConfig(embedding_dim=48, lstm_units=64, masked=True, ngrams=300_000),
    training=TrainingConfig(
        epochs=5,
        batch_size=128,
        learning_rate=0.003,
        validation_fraction=0.1,
        warm_up_steps=200,
        averaging=0.998,
        clip_norm=1.0,
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
