from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import FrozenInstanceError, replace
from typing import Any

import pytest

from imdb_classifier.config import (
    PRODUCTION,
    RECIPES,
    SEED,
    EncodingConfig,
    NetworkConfig,
    Recipe,
    TrainingConfig,
    recipe,
)
from imdb_classifier.errors import ConfigurationError


def test_seed_is_the_tutorial() -> None:
    assert SEED.to_dict() == {
        "name": "seed",
        "encoding": {"num_words": 5_000, "sequence_length": 500},
        "network": {"embedding_dim": 32, "lstm_units": 100, "masked": False, "ngrams": 0},
        "training": {
            "epochs": 3,
            "batch_size": 64,
            "learning_rate": 0.001,
            "validation_fraction": 0.33,
            "warm_up_steps": 0,
            "averaging": 0.0,
            "clip_norm": None,
            "split": "random",
        },
        "regularisation": {"word_dropout": 0, "input_dropout": 0, "output_dropout": 0},
        "teachers": None,
    }


def test_what_the_lstm_reads_is_named_if_it_is_not_all() -> None:
    tail = replace(PRODUCTION, network=replace(PRODUCTION.network, lstm_tokens=64))
    assert tail.to_dict()["network"]["lstm_tokens"] == 64
    assert Recipe.from_dict(tail.to_dict()) == tail


def test_ngrams_of_parts_are_named_if_there_are_any() -> None:
    assert PRODUCTION.to_dict()["encoding"]["ngram_parts"] is True
    whole = replace(PRODUCTION, encoding=replace(PRODUCTION.encoding, ngram_parts=False))
    assert "ngram_parts" not in whole.to_dict()["encoding"]
    assert PRODUCTION.to_dict()["encoding"]["names"] is False
    assert "names" not in SEED.to_dict()["encoding"]
    assert Recipe.from_dict(whole.to_dict()) == whole


def test_a_model_from_before_negated_no_opinion() -> None:
    former = PRODUCTION.to_dict()
    del former["teachers"]["negated"], former["teachers"]["opinion_weight"]
    read = Recipe.from_dict(former)
    assert read.teachers is not None
    assert read.teachers.negated == 0
    assert Recipe.from_dict(PRODUCTION.to_dict()) == PRODUCTION


def test_words_with_an_id_of_their_own() -> None:
    # Ids 4 to 4,999: 0 to 3 are padding, start, unknown and Keras' unused one.
    assert SEED.encoding.vocabulary_words == 4_996
    assert EncodingConfig(num_words=4, sequence_length=1).vocabulary_words == 0


@pytest.mark.parametrize("name", RECIPES)
def test_recipes_by_name(name: str) -> None:
    assert recipe(name).name == name
    assert recipe(name) is RECIPES[name]


def test_unknown_recipe() -> None:
    with pytest.raises(
        ConfigurationError,
        match=r"one of: production, seed, tiny\. It is 'best'\. .*`recipe`",
    ):
        recipe("best")


@pytest.mark.parametrize("name", RECIPES)
def test_round_trip_through_json(name: str) -> None:
    assert Recipe.from_dict(json.loads(json.dumps(RECIPES[name].to_dict()))) == RECIPES[name]


@pytest.mark.parametrize(
    ("config", "field", "value", "message"),
    [
        (SEED.encoding, "num_words", 3, r"at least 4\. num_words is 3\. Choose another value"),
        (SEED.encoding, "sequence_length", 0, r"at least 1\. sequence_length is 0\."),
        (SEED.encoding, "text_form", "nfc", r"keras or normal\. text_form is 'nfc'\. Choose"),
        (SEED.network, "embedding_dim", 0, r"embedding_dim must be at least 1\."),
        (SEED.network, "lstm_units", -1, r"at least 1\. lstm_units is -1\."),
        (
            PRODUCTION.network,
            "ngrams",
            -1,
            r"if the network is masked\. ngrams is -1\.",
        ),
        (SEED.network, "ngrams", 5, r"if the network is masked\. ngrams is 5\."),
        (PRODUCTION, "teachers", None, r"both teachers and n-grams, or neither\. ngrams is 550000"),
        (SEED.training, "epochs", 0, r"at least 1\. epochs is 0\."),
        (SEED.training, "batch_size", 0, r"at least 1\. batch_size is 0\."),
        (SEED.training, "learning_rate", 0.0, r"must be positive\. learning_rate is 0\.0\."),
        (SEED.training, "learning_rate", float("nan"), r"learning_rate is nan\."),
        (SEED.training, "validation_fraction", 1.0, r"\[0, 1\)\. validation_fraction is 1\.0\."),
        (SEED.training, "validation_fraction", -0.1, r"validation_fraction is -0\.1\."),
        (SEED.training, "clip_norm", 0.0, r"clip_norm must be positive\. clip_norm is 0\.0\."),
        (SEED.training, "split", "fair", r"random or grouped\. split is 'fair'\."),
        (PRODUCTION.teachers, "tf_idf_c", 0.0, r"must be positive\. tf_idf_c is 0\.0\."),
        (PRODUCTION.teachers, "svd_iterations", -1, r"at least 0\. svd_iterations is -1\."),
    ],
    ids=lambda value: value if isinstance(value, str) and value.isidentifier() else "",
)
def test_out_of_range(config: Any, field: str, value: float, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        replace(config, **{field: value})


def test_ends_of_the_ranges_are_allowed() -> None:
    assert EncodingConfig(num_words=4, sequence_length=1).sequence_length == 1
    assert NetworkConfig(embedding_dim=1, lstm_units=1, masked=False).lstm_units == 1
    assert TrainingConfig(1, 1, 1e-9, 0.0).validation_fraction == 0.0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda values: values.pop("network"), "does not fit: 'network'"),
        (lambda values: values["encoding"].pop("num_words"), "num_words"),
        (lambda values: values["network"].update(dropout=0.5), "dropout"),
        (lambda values: values.update(training=None), "does not fit"),
        (lambda values: values["training"].update(epochs=0), "epochs is 0"),
    ],
)
def test_dict_that_does_not_fit(change: Callable[[dict[str, Any]], object], message: str) -> None:
    values = SEED.to_dict()
    change(values)
    with pytest.raises(ConfigurationError, match=message):
        Recipe.from_dict(values)


def test_recipes_cannot_change() -> None:
    with pytest.raises(FrozenInstanceError, match="name"):
        SEED.name = "other"  # type: ignore[misc]
