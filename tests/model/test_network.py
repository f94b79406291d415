from __future__ import annotations

import random
import warnings
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from imdb_classifier.config import NO_REGULARIZATION, PRODUCTION, RECIPES, SEED, TINY, Recipe
from imdb_classifier.model.keras_backend import import_keras
from imdb_classifier.model.network import build_network, build_student, join
from imdb_classifier.model.weights import NGRAM_WEIGHTS_LAYER, NetworkWeights


def test_seed_is_the_tutorial_network() -> None:
    model = build_network(SEED.encoding, SEED.network, seed=1)
    assert [layer.__class__.__name__ for layer in model.layers] == ["Embedding", "LSTM", "Dense"]
    assert model.input_shape == (None, 500)
    assert model.output_shape == (None, 1)
    # 5,000 x 32; 4 gates of 100 units on 32 inputs, 100 states and a bias; 100 + 1.
    assert [layer.count_params() for layer in model.layers] == [160_000, 53_200, 101]
    assert not model.layers[0].mask_zero


def test_masked_networks_take_any_length_and_skip_padding() -> None:
    model = build_network(TINY.encoding, TINY.network, seed=1)
    assert model.input_shape == (None, None)
    short = model.predict_on_batch(np.array([[1, 5, 9]], np.int32))
    padded = model.predict_on_batch(np.array([[1, 5, 9, 0, 0]], np.int32))
    np.testing.assert_allclose(short, padded, atol=1e-7)


def test_weights_by_name() -> None:
    weights = NetworkWeights.of(build_network(TINY.encoding, TINY.network, seed=1))
    assert weights.words.shape == (1_000, 8)
    assert weights.ngram_weights.shape == (0,)
    (lstm,) = weights.directions
    assert lstm.kernel.shape == (8, 32)
    assert lstm.recurrent_kernel.shape == (8, 32)
    assert lstm.bias.shape == (32,)
    # Keras starts the forget gate's bias, the second quarter, at one.
    assert lstm.bias.tolist() == [0.0] * 8 + [1.0] * 8 + [0.0] * 16
    assert weights.output_kernel.shape == (8, 1)
    assert weights.output_bias.shape == (1,)


NGRAMS = replace(TINY.network, ngrams=50)


def test_n_grams_stand_beside_an_lstm_in_both_directions() -> None:
    weights = NetworkWeights.of(build_network(TINY.encoding, NGRAMS, seed=1))
    assert weights.ngram_weights.shape == (51,)
    assert [lstm.recurrent_kernel.shape for lstm in weights.directions] == [(8, 32), (8, 32)]
    # Peaks and means of 8 units in two directions, the mean vector of 8, and the n-grams.
    assert weights.output_kernel.shape == (2 * 2 * 8 + 8 + 1, 1)


def test_networks_with_n_grams_skip_padding() -> None:
    model = build_network(TINY.encoding, NGRAMS, seed=1)
    layer = model.get_layer(NGRAM_WEIGHTS_LAYER)
    weights = layer.get_weights()[0]
    weights[0] = 0
    layer.set_weights([weights])
    inputs, lengths = (np.array([[1, 5, 9]]), np.array([[3, 7]])), np.array([[3]])
    short = model.predict_on_batch((*inputs, lengths))
    padded = (np.pad(ids, ((0, 0), (0, 4))) for ids in inputs)
    padded = model.predict_on_batch((*padded, lengths))
    np.testing.assert_allclose(short, padded, atol=1e-7)


def test_a_student_and_n_grams_add_up() -> None:
    student = build_student(TINY.encoding, NGRAMS, NO_REGULARIZATION, 4, seed=1)
    weights = np.zeros(51, np.float32)
    weights[3], weights[7] = 2.0, 1.0
    joined = join(student, weights, (0.5, 0.25), 0.125, TINY.encoding, NGRAMS)
    token_ids, ngram_ids, lengths = np.array([[1, 5, 9]]), np.array([[3, 7, 0]]), np.array([[4]])
    alone = student.predict_on_batch(token_ids)[0][0, 0]
    together = joined.predict_on_batch((token_ids, ngram_ids, lengths))[0, 0]
    # Weights of 3 over the root of 4 tokens.
    expected = 0.5 * np.log(alone / (1 - alone)) + 0.25 * 3 / 2 + 0.125
    assert np.log(together / (1 - together)) == pytest.approx(expected, abs=1e-5)


def test_a_student_without_vectors_to_predict_has_the_probabilities_of_one_with() -> None:
    given = TINY.encoding, NGRAMS, NO_REGULARIZATION
    with_vectors, without = (build_student(*given, size, seed=1) for size in (4, 0))
    token_ids = np.array([[1, 5, 9]])
    expected, _ = with_vectors.predict_on_batch(token_ids)
    (found,) = without.outputs
    assert found.shape == (None, 1)
    np.testing.assert_array_equal(np.reshape(without.predict_on_batch(token_ids), (1, 1)), expected)


def fresh_network(recipe: Recipe, seed: int) -> list[NDArray[np.float32]]:
    network = build_network(recipe.encoding, recipe.network, seed)
    weights: list[NDArray[np.float32]] = network.get_weights()
    return weights


def fresh_student(recipe: Recipe, seed: int) -> list[NDArray[np.float32]]:
    student = build_student(recipe.encoding, recipe.network, recipe.regularization, 4, seed)
    weights: list[NDArray[np.float32]] = student.get_weights()
    return weights


@pytest.mark.parametrize(
    ("fresh", "recipe"),
    [*((fresh_network, recipe) for recipe in RECIPES.values()), (fresh_student, PRODUCTION)],
)
def test_fresh_weights_depend_on_the_seed_alone(
    fresh: Callable[[Recipe, int], list[NDArray[np.float32]]], recipe: Recipe
) -> None:
    import_keras()  # which draws a number when it is imported
    random.seed(1)
    before = random.getstate()
    weights = fresh(recipe, 1)
    assert random.getstate() == before
    random.seed(2)
    for ours, theirs in zip(weights, fresh(recipe, 1), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    others = fresh(recipe, 2)
    drawn = [(ours, theirs) for ours, theirs in zip(weights, others, strict=True) if ours.ndim > 1]
    assert not any(np.array_equal(ours, theirs) for ours, theirs in drawn)
    # No two arrays of one shape, as both directions have, are drawn from the same seed.
    assert len({float(ours.flat[0]) for ours, _ in drawn}) == len(drawn)


def test_building_a_network_warns_of_nothing() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        build_network(TINY.encoding, NGRAMS, seed=1)
