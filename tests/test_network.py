from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from imdb_classifier.config import SEED, TINY
from imdb_classifier.errors import MissingExtraError
from imdb_classifier.network import NetworkWeights, build_network, import_keras


def test_seed_is_the_tutorial_network() -> None:
    model = build_network(SEED.encoding, SEED.network)
    assert [layer.__class__.__name__ for layer in model.layers] == ["Embedding", "LSTM", "Dense"]
    assert model.input_shape == (None, 500)
    assert model.output_shape == (None, 1)
    # 5,000 x 32; 4 gates of 100 units on 32 inputs, 100 states and a bias; 100 + 1.
    assert [layer.count_params() for layer in model.layers] == [160_000, 53_200, 101]
    assert not model.layers[0].mask_zero


def test_masked_networks_take_any_length_and_skip_padding() -> None:
    model = build_network(TINY.encoding, TINY.network)
    assert model.input_shape == (None, None)
    short = model.predict_on_batch(np.array([[1, 5, 9]], np.int32))
    padded = model.predict_on_batch(np.array([[1, 5, 9, 0, 0]], np.int32))
    np.testing.assert_allclose(short, padded, atol=1e-7)


def test_weights_by_name() -> None:
    weights = NetworkWeights.of(build_network(TINY.encoding, TINY.network))
    assert weights.embedding.shape == (1_000, 8)
    assert weights.kernel.shape == (8, 32)
    assert weights.recurrent_kernel.shape == (8, 32)
    assert weights.bias.shape == (32,)
    # Keras starts the forget gate's bias, the second quarter, at one.
    assert weights.bias.tolist() == [0.0] * 8 + [1.0] * 8 + [0.0] * 16
    assert weights.output_kernel.shape == (8, 1)
    assert weights.output_bias.shape == (1,)


def test_tensorflow_starts_quietly() -> None:
    program = (
        "import os\n"
        "from imdb_classifier.network import import_keras\n"
        "import_keras()\n"
        "os.write(2, b'still here')\n"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert ran.stderr == b"still here"


def test_without_keras_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keras", None)
    with pytest.raises(MissingExtraError, match=r"needs the package keras.*classifier\[train\]"):
        import_keras()
