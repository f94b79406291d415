from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from imdb_classifier.config import Recipe
from imdb_classifier.model.keras_backend import import_keras
from imdb_classifier.model.onnx_export import states_after_padding, to_onnx
from imdb_classifier.model.onnx_reader import weights_of
from imdb_classifier.model.weights import NetworkWeights

Network = Callable[..., tuple[Any, Recipe]]


@pytest.mark.parametrize(
    ("masked", "ngrams"),
    [(False, 0), (True, 0), (True, 30)],
    ids=["padded in front", "masked", "n-grams"],
)
def test_weights_come_back_from_the_graph(
    small_network: Network, masked: bool, ngrams: int
) -> None:
    model, recipe = small_network(masked, ngrams=ngrams)
    weights = NetworkWeights.of(model)
    found = weights_of(to_onnx(weights, recipe).SerializeToString(), recipe)
    for name in ("words", "ngram_weights"):
        np.testing.assert_array_equal(getattr(found, name), getattr(weights, name))
    for ours, theirs in zip(found.directions, weights.directions, strict=True):
        for name, value in vars(ours).items():
            np.testing.assert_array_equal(value, getattr(theirs, name), err_msg=name)
    np.testing.assert_array_equal(found.output_kernel, weights.output_kernel)
    np.testing.assert_array_equal(found.output_bias, weights.output_bias)


def test_states_after_padding_are_those_of_keras(small_network: Network) -> None:
    keras = import_keras()
    model, _ = small_network(masked=False, units=3)
    hidden, cell = states_after_padding(NetworkWeights.of(model), 20)
    assert hidden.shape == cell.shape == (21, 3)
    assert not hidden[0].any()
    assert not cell[0].any()
    layer = keras.layers.LSTM(3, return_state=True)
    vectors = model.get_layer("words")(np.zeros((1, 7), np.int32))
    layer.build(vectors.shape)
    layer.set_weights(model.get_layer("lstm").get_weights())
    _, hidden_of_keras, cell_of_keras = layer(vectors)
    np.testing.assert_allclose(hidden[7], np.asarray(hidden_of_keras)[0], atol=1e-6)
    np.testing.assert_allclose(cell[7], np.asarray(cell_of_keras)[0], atol=1e-6)


def test_an_onnx_that_does_not_fit_is_not_called_missing(
    small_network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, recipe = small_network(masked=True)
    monkeypatch.setitem(sys.modules, "onnx", ModuleType("onnx"))
    with pytest.raises(ImportError, match="cannot import name 'TensorProto'"):
        to_onnx(NetworkWeights.of(model), recipe)
