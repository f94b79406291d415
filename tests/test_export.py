from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imdb_classifier.config import EncodingConfig, NetworkConfig, Recipe, TrainingConfig
from imdb_classifier.encoding import TokenSequences
from imdb_classifier.engine import KerasEngine, OnnxEngine
from imdb_classifier.export import states_after_padding, to_onnx
from imdb_classifier.network import NetworkWeights, build_network, import_keras

NUM_WORDS, SEQUENCE_LENGTH, UNITS = 12, 20, 3


def recipe_of(masked: bool) -> Recipe:
    return Recipe(
        name="test",
        encoding=EncodingConfig(num_words=NUM_WORDS, sequence_length=SEQUENCE_LENGTH),
        network=NetworkConfig(embedding_dim=4, lstm_units=UNITS, masked=masked),
        training=TrainingConfig(
            epochs=1, batch_size=4, learning_rate=0.01, validation_fraction=0.5
        ),
    )


def network_of(recipe: Recipe) -> Any:
    """A network whose weights, biases included, are large enough for every gate to matter."""
    import_keras().utils.set_random_seed(3)
    model = build_network(recipe.encoding, recipe.network)
    generator = np.random.default_rng(3)
    model.set_weights([generator.normal(0, 0.7, weight.shape) for weight in model.get_weights()])
    return model


def sequences_of(rows: list[list[int]]) -> TokenSequences:
    offsets = np.cumsum([0, *(len(row) for row in rows)])
    return TokenSequences(np.array([i for row in rows for i in row], np.int32), offsets)


@pytest.fixture(scope="module", params=[False, True], ids=["padded in front", "masked"])
def engines(request: pytest.FixtureRequest) -> tuple[KerasEngine, OnnxEngine]:
    recipe = recipe_of(request.param)
    model = network_of(recipe)
    graph = to_onnx(NetworkWeights.of(model), recipe).SerializeToString()
    return KerasEngine(model, recipe), OnnxEngine(graph)


def every_length() -> TokenSequences:
    generator = np.random.default_rng(0)
    return sequences_of(
        [
            [1, *generator.integers(2, NUM_WORDS, length - 1).tolist()]
            for length in [*range(1, SEQUENCE_LENGTH + 1)] * 7
        ]
    )


def test_onnx_gives_keras_probabilities(engines: tuple[KerasEngine, OnnxEngine]) -> None:
    keras, onnx = (engine.probabilities(every_length()) for engine in engines)
    assert onnx.dtype == np.float32
    np.testing.assert_allclose(onnx, keras, atol=1e-6, rtol=0)
    assert np.ptp(onnx) > 0.2  # otherwise agreement would say little


ROWS = st.lists(
    st.lists(st.integers(1, NUM_WORDS - 1), min_size=1, max_size=SEQUENCE_LENGTH),
    min_size=1,
    max_size=150,
)


@given(rows=ROWS, picked=st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_neighbours_and_batches_cannot_change_a_score(
    engines: tuple[KerasEngine, OnnxEngine], rows: list[list[int]], picked: Any
) -> None:
    onnx = engines[1]
    together = onnx.probabilities(sequences_of(rows))
    position = picked.randrange(len(rows))
    np.testing.assert_allclose(
        onnx.probabilities(sequences_of([rows[position]])), together[position], atol=1e-6, rtol=0
    )
    order = picked.sample(range(len(rows)), len(rows))
    reordered = onnx.probabilities(sequences_of([rows[i] for i in order]))
    np.testing.assert_allclose(reordered, together[order], atol=1e-6, rtol=0)


def test_the_same_call_gives_the_same_bytes(engines: tuple[KerasEngine, OnnxEngine]) -> None:
    first, again = (engines[1].probabilities(every_length()) for _ in range(2))
    assert first.tobytes() == again.tobytes()


def test_no_rows_have_no_probabilities(engines: tuple[KerasEngine, OnnxEngine]) -> None:
    assert engines[1].probabilities(sequences_of([])).shape == (0,)


def test_states_after_padding_are_those_of_keras() -> None:
    keras = import_keras()
    recipe = recipe_of(masked=False)
    model = network_of(recipe)
    hidden, cell = states_after_padding(NetworkWeights.of(model), SEQUENCE_LENGTH)
    assert hidden.shape == cell.shape == (SEQUENCE_LENGTH + 1, UNITS)
    assert not hidden[0].any()
    assert not cell[0].any()
    layer = keras.layers.LSTM(UNITS, return_state=True)
    vectors = model.get_layer("words")(np.zeros((1, 7), np.int32))
    layer.build(vectors.shape)
    layer.set_weights(model.get_layer("lstm").get_weights())
    _, hidden_of_keras, cell_of_keras = layer(vectors)
    np.testing.assert_allclose(hidden[7], np.asarray(hidden_of_keras)[0], atol=1e-6)
    np.testing.assert_allclose(cell[7], np.asarray(cell_of_keras)[0], atol=1e-6)
