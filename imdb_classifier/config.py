"""How a model is encoded, built and trained: a frozen dataclass a stage, and the named recipes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from imdb_classifier.errors import ConfigurationError


def _require(holds: bool, rule: str, name: str, value: object) -> None:
    if not holds:
        raise ConfigurationError(rule, f"{name} is {value!r}.", f"Give another {name}.")


@dataclass(frozen=True)
class EncodingConfig:
    """Keras' IMDB scheme: 0 padding, 1 start, 2 unknown, the word of rank r is r + 3.

    Attributes:
        num_words: Ids from here on become 2 (unknown); the network sees ids 0 to num_words - 1.
        sequence_length: Tokens kept of one review, the start token included; the tail is kept.
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
        """Words that have an id of their own."""
        return self.num_words - 4

    @property
    def untruncated(self) -> EncodingConfig:
        """The same scheme for reviews of any length."""
        return replace(self, sequence_length=2**31 - 1)


@dataclass(frozen=True)
class NetworkConfig:
    """One of two layer graphs, see `network.build_network`: last state, or pooled.

    Attributes:
        embedding_dim: Size of a word vector.
        lstm_units: Size of the LSTM's state, in each direction.
        masked: True: padding stands behind the tokens and is skipped. False, as the tutorial has
            it: padding stands in front, up to sequence_length, and runs through the LSTM as
            token 0.
        ngrams: N-grams with a number of their own, at most; 0: a single LSTM, whose last state is
            the review. More: an LSTM in each direction, pooled over time, beside the sum of the
            numbers of the review's n-grams.
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
            "ngrams must be 0, or at least 1 in a masked network.",
            "ngrams",
            self.ngrams,
        )


@dataclass(frozen=True)
class RegularizationConfig:
    """What is left out at random while a network with teachers is trained, shares in [0, 1).

    Attributes:
        word_dropout: Of the words, which become unknown (Iyyer et al., 2015).
        input_dropout: Of the elements of vectors, for a whole review (Gal and Ghahramani, 2016).
        output_dropout: Of the pooled features.
    """

    word_dropout: float
    input_dropout: float
    output_dropout: float

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            _require(0 <= value < 1, f"{name} must lie in [0, 1).", name, value)


NO_REGULARIZATION: Final = RegularizationConfig(0, 0, 0)


@dataclass(frozen=True)
class TeachersConfig:
    """The models that label reviews without a label for a network, see `teachers.teach`.

    Attributes:
        minimum_reviews: N-grams that fewer reviews hold are left out.
        vector_size: Of a review's vector.
        vector_passes: Over all reviews, to train these vectors.
        vector_weight: Of the loss that has the network learn these vectors beside the labels.
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
    """Binary cross-entropy and Adam.

    Attributes:
        epochs: Passes over the training part.
        batch_size: Reviews a step.
        learning_rate: Adam's step size; at its highest, where it is warmed up.
        validation_fraction: Share of the reviews held out for the validation figures, in [0, 1).
        warm_up_steps: Steps in which the step size rises from 0; it falls to 0 along a cosine then
            (Loshchilov and Hutter, 2017). 0: it never changes.
        averaging: Momentum of the average of the weights that each epoch ends with (Polyak and
            Juditsky, 1992), in [0, 1); 0: it ends with its last weights.
        clip_norm: Longest gradient of a weight array; longer ones are shortened to it.
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
            0 <= self.averaging < 1, "averaging must lie in [0, 1).", "averaging", self.averaging
        )
        _require(
            self.learning_rate > 0,
            "learning_rate must be positive.",
            "learning_rate",
            self.learning_rate,
        )
        _require(
            0 <= self.validation_fraction < 1,
            "validation_fraction must lie in [0, 1).",
            "validation_fraction",
            self.validation_fraction,
        )


_STORED_REGULARIZATION: Final = "regularisation"
"""The key in manifests, spelled as in the bundled model, whose files never change."""


@dataclass(frozen=True)
class Recipe:
    """A named model: everything but the data and the seed.

    Attributes:
        teachers: Where there are any, the network also learns from the unsupervised split, has
            n-grams, and its probabilities are calibrated on the validation part.
    """

    name: str
    encoding: EncodingConfig
    network: NetworkConfig
    training: TrainingConfig
    regularization: RegularizationConfig = NO_REGULARIZATION
    teachers: TeachersConfig | None = None

    def __post_init__(self) -> None:
        _require(
            self.teachers is None or self.training.validation_fraction > 0,
            "A recipe with teachers needs a validation part.",
            "validation_fraction",
            self.training.validation_fraction,
        )
        _require(
            (self.teachers is None) == (self.network.ngrams == 0),
            "A recipe has both teachers and n-grams, or neither.",
            "ngrams",
            self.network.ngrams,
        )

    def to_dict(self) -> dict[str, Any]:
        """The recipe as plain JSON values."""
        values = asdict(self)
        values[_STORED_REGULARIZATION] = values.pop("regularization")
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Recipe:
        """The inverse of `to_dict`.

        Raises:
            ConfigurationError: A key is missing, unknown, or out of range.
        """
        try:
            teachers = values["teachers"]
            return cls(
                name=values["name"],
                encoding=EncodingConfig(**values["encoding"]),
                network=NetworkConfig(**values["network"]),
                training=TrainingConfig(**values["training"]),
                regularization=RegularizationConfig(**values[_STORED_REGULARIZATION]),
                teachers=None if teachers is None else TeachersConfig(**teachers),
            )
        except (KeyError, TypeError) as error:
            raise ConfigurationError(
                "A recipe must have exactly the keys that this release writes.",
                f"This one does not fit: {error}.",
                "Use a model bundle of this release, or train the model again.",
            ) from error


SEED: Final = Recipe(
    name="seed",
    encoding=EncodingConfig(num_words=5_000, sequence_length=500),
    network=NetworkConfig(embedding_dim=32, lstm_units=100, masked=False),
    training=TrainingConfig(epochs=3, batch_size=64, learning_rate=0.001, validation_fraction=0.33),
)
"""The classic Keras tutorial to the letter; its published accuracy on the test split is 86.79 %."""

TINY: Final = Recipe(
    name="tiny",
    encoding=EncodingConfig(num_words=1_000, sequence_length=100),
    network=NetworkConfig(embedding_dim=8, lstm_units=8, masked=True),
    training=TrainingConfig(epochs=4, batch_size=16, learning_rate=0.01, validation_fraction=0.2),
)
"""Small enough to learn something from a few hundred short reviews in seconds."""

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
"""Made to be used: small enough for a CPU, and taught by stronger models on unlabeled reviews."""

RECIPES: Final[Mapping[str, Recipe]] = {recipe.name: recipe for recipe in (PRODUCTION, SEED, TINY)}


def recipe(name: str) -> Recipe:
    """The recipe of that name.

    Raises:
        ConfigurationError: There is none.
    """
    if name not in RECIPES:
        raise ConfigurationError(
            "A recipe must be one of the named ones.",
            f"'{name}' is not among: {', '.join(RECIPES)}.",
            "Choose one with --recipe.",
        )
    return RECIPES[name]
