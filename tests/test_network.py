from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from imdb_classifier.config import SEED, TINY
from imdb_classifier.errors import MissingExtraError
from imdb_classifier.network import NetworkWeights, build_network, eight_bits, import_keras


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
    assert weights.words.shape == (1_000, 8)
    assert weights.pairs.shape == (0, 8)
    (lstm,) = weights.directions
    assert lstm.kernel.shape == (8, 32)
    assert lstm.recurrent_kernel.shape == (8, 32)
    assert lstm.bias.shape == (32,)
    # Keras starts the forget gate's bias, the second quarter, at one.
    assert lstm.bias.tolist() == [0.0] * 8 + [1.0] * 8 + [0.0] * 16
    assert weights.output_kernel.shape == (8, 1)
    assert weights.output_bias.shape == (1,)


PAIRS = replace(TINY.network, pair_slots=50)


def test_word_pairs_are_read_in_both_directions() -> None:
    weights = NetworkWeights.of(build_network(TINY.encoding, PAIRS))
    assert weights.pairs.shape == (50, 8)
    assert [lstm.recurrent_kernel.shape for lstm in weights.directions] == [(8, 32), (8, 32)]
    # Peaks and means of 8 units in two directions, and the mean vector of 8.
    assert weights.output_kernel.shape == (2 * 2 * 8 + 8, 1)


def test_networks_of_word_pairs_skip_padding() -> None:
    model = build_network(TINY.encoding, PAIRS)
    ids, slots = np.array([[1, 5, 9]], np.int32), np.array([[3, 7, 2]], np.int32)
    short = model.predict_on_batch((ids, slots))
    padded = model.predict_on_batch(tuple(np.pad(a, ((0, 0), (0, 4))) for a in (ids, slots)))
    np.testing.assert_allclose(short, padded, atol=1e-7)


@pytest.mark.parametrize("size", [1e-6, 1.0, 3.7e4])
def test_eight_bits_hold_what_they_have_rounded(size: float) -> None:
    table = np.random.default_rng(0).normal(0, size, (50, 7)).astype(np.float32)
    codes, scale = eight_bits(table)
    assert codes.dtype == np.int8
    assert np.abs(codes).max() == 127
    np.testing.assert_allclose(codes * scale, table, atol=0.51 * np.abs(table).max() / 127)
    again, same_scale = eight_bits(codes * scale)
    np.testing.assert_array_equal(again, codes)
    assert same_scale == scale
    assert (codes * scale).dtype == np.float32


def test_vectors_that_are_all_zero_stay_zero() -> None:
    codes, scale = eight_bits(np.zeros((2, 2), np.float32))
    assert not (codes * scale).any()


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
