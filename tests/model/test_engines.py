from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any
from unittest.mock import Mock

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from imdb_classifier.config import EncodingConfig, Recipe
from imdb_classifier.errors import BundleError, ConfigurationError, MissingExtraError
from imdb_classifier.model.bundle import KERAS_FILE
from imdb_classifier.model.engines import choice
from imdb_classifier.model.engines.choice import Engine, chosen_engine
from imdb_classifier.model.engines.compiled_engine import CompiledEngine
from imdb_classifier.model.engines.keras_engine import KerasEngine
from imdb_classifier.model.engines.onnx_engine import OnnxEngine
from imdb_classifier.model.onnx_export import to_onnx
from imdb_classifier.model.weights import NetworkWeights
from imdb_classifier.text.encoding import TokenSequences, Vocabulary, encode
from imdb_classifier.text.ngrams import REVIEW_PARTS, Ngrams, fingerprints

LENGTHS = [*range(1, 21)] * 7
WORDS = Vocabulary([f"w{rank}" for rank in range(8)])
TEXT_ENCODING = EncodingConfig(num_words=12, sequence_length=2_000)
# 19 units leave the last vector of any width partly empty.
SHAPES = {"16 lanes": (16, 6), "8 lanes": (8, 2), "4 lanes": (4, 2)}
Network = Callable[..., tuple[Any, Recipe]]
Choose = Callable[[Any], Engine]


def sequences_of(lengths: list[int]) -> TokenSequences:
    generator = np.random.default_rng(0)
    ids = generator.integers(2, 12, sum(lengths)).astype(np.int32)
    offsets = np.cumsum([0, *lengths])
    ids[offsets[:-1]] = 1
    return TokenSequences(ids, offsets)


NETWORKS: dict[str, dict[str, Any]] = {
    "padded in front": {"masked": False},
    "masked": {"masked": True},
    "n-grams": {"masked": True, "ngrams": 30},
    "n-grams, and the end read": {"masked": True, "ngrams": 30, "lstm_tokens": 7},
    "n-grams of parts": {"masked": True, "ngrams": 60, "ngram_parts": True, "lstm_tokens": 7},
}


@pytest.fixture(scope="module", params=NETWORKS)
def engines(request: pytest.FixtureRequest, small_network: Network) -> dict[str, Engine]:
    return _engines(*small_network(**NETWORKS[request.param], units=19))


@pytest.fixture(scope="module", params=NETWORKS)
def long_engines(request: pytest.FixtureRequest, small_network: Network) -> dict[str, Engine]:
    return _engines(*small_network(**NETWORKS[request.param], units=19, sequence_length=2_000))


def _engines(model: Any, recipe: Recipe) -> dict[str, Engine]:
    weights = NetworkWeights.of(model)
    ngrams = None
    if recipe.network.ngrams:
        # Some of those that stand in the reviews.
        in_parts = recipe.encoding.ngram_parts
        parts = range(len(REVIEW_PARTS) if in_parts else 1)
        there = [fingerprints(sequences_of(LENGTHS), part)[0] for part in parts]
        found = np.unique(np.concatenate(there))
        ngrams = Ngrams(found[:: -(-len(found) // recipe.network.ngrams)], in_parts)
        assert len(ngrams) > 20
    return {
        "Keras": KerasEngine(model, recipe, ngrams),
        "ONNX Runtime": OnnxEngine(to_onnx(weights, recipe).SerializeToString(), recipe, ngrams),
        **{name: CompiledEngine(weights, recipe, ngrams, shape) for name, shape in SHAPES.items()},
    }


@pytest.mark.parametrize("name", ["ONNX Runtime", *SHAPES])
def test_every_engine_gives_keras_probabilities(engines: dict[str, Engine], name: str) -> None:
    expected = engines["Keras"].probabilities(sequences_of(LENGTHS))
    found = engines[name].probabilities(sequences_of(LENGTHS))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-6, rtol=0)
    assert np.ptp(found) > 0.2  # otherwise agreement would say little


@given(
    words=st.lists(st.integers(0, 2_000), min_size=1, max_size=20),
    picked=st.randoms(use_true_random=False),
)
@settings(max_examples=25)
def test_order_and_batches_cannot_change_a_score(
    long_engines: dict[str, Engine], words: list[int], picked: Any
) -> None:
    texts = [" ".join(picked.choices(["w1", "w5", "unknown"], k=count)) for count in words]
    order = picked.sample(range(len(texts)), len(texts))
    cut = picked.randrange(len(texts) + 1)
    together = _encode(texts)
    pieces = [_encode([texts[i] for i in part]) for part in (order[:cut], order[cut:])]
    reference = long_engines["Keras"].probabilities(together)
    for name in ("ONNX Runtime", *SHAPES):
        engine = long_engines[name]
        expected = engine.probabilities(together)
        np.testing.assert_allclose(expected, reference, atol=1e-5, rtol=0, err_msg=name)
        found = np.concatenate([engine.probabilities(piece) for piece in pieces])
        if name == "ONNX Runtime":
            np.testing.assert_allclose(found, expected[order], atol=1e-6, rtol=0)
        else:
            assert found.tobytes() == expected[order].tobytes(), name


def _encode(texts: list[str]) -> TokenSequences:
    return encode(pa.array(texts, pa.string()), WORDS, TEXT_ENCODING)


@pytest.mark.parametrize("rows", [1, 2, 5, 6, 7, 23, 24, 25])
def test_a_tile_that_is_not_full(engines: dict[str, Engine], rows: int) -> None:
    compiled = engines["16 lanes"]
    everything = compiled.probabilities(sequences_of(LENGTHS))
    some = sequences_of(LENGTHS).take(np.arange(rows))
    assert compiled.probabilities(some).tobytes() == everything[:rows].tobytes()


@pytest.mark.parametrize("name", ["ONNX Runtime", *SHAPES])
def test_the_same_call_gives_the_same_bytes(engines: dict[str, Engine], name: str) -> None:
    first, again = (engines[name].probabilities(sequences_of(LENGTHS)) for _ in range(2))
    assert first.tobytes() == again.tobytes()


@pytest.mark.parametrize("name", ["ONNX Runtime", *SHAPES])
def test_no_rows_have_no_probabilities(engines: dict[str, Engine], name: str) -> None:
    assert engines[name].probabilities(sequences_of([])).shape == (0,)


@pytest.mark.parametrize("gate", [-1e4, -60.0, 60.0, 1e4])
def test_gates_that_are_far_open_or_shut(small_network: Network, gate: float) -> None:
    model, recipe = small_network(masked=True)
    weights = model.get_weights()
    generator = np.random.default_rng(5)
    weights[3] = (gate * generator.choice([-1, 0, 1], weights[3].shape)).astype(np.float32)
    model.set_weights(weights)
    engines = _engines(model, recipe)
    expected = engines["Keras"].probabilities(sequences_of(LENGTHS))
    found = engines["16 lanes"].probabilities(sequences_of(LENGTHS))
    np.testing.assert_allclose(found, expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("token", [-1, 12])
def test_ids_outside_the_vocabulary_are_refused(engines: dict[str, Engine], token: int) -> None:
    sequences = TokenSequences(np.array([1, token], np.int32), np.array([0, 2]))
    with pytest.raises(IndexError, match=r"outside \[0, 12\)"):
        engines["16 lanes"].probabilities(sequences)


def test_weights_of_another_network_are_refused(small_network: Network) -> None:
    model, recipe = small_network(masked=True, units=4)
    weights = NetworkWeights.of(model)
    more_units = replace(recipe, network=replace(recipe.network, lstm_units=8))
    with pytest.raises(
        BundleError, match=r"'recurrent_kernel 1': \(8, 32\).* weights have .*\(4, 16\)"
    ):
        CompiledEngine(weights, more_units)
    more_words = replace(recipe, encoding=replace(recipe.encoding, num_words=13))
    with pytest.raises(
        BundleError, match=r"'words': \(13, 4\).* weights have .*'words': \(12, 4\)"
    ):
        CompiledEngine(weights, more_words)


@pytest.fixture(scope="module")
def choose(small_network: Network, tmp_path_factory: pytest.TempPathFactory) -> Choose:
    """Chooses an engine for a small network."""
    model, recipe = small_network(masked=True)
    file = tmp_path_factory.mktemp("choose") / KERAS_FILE
    model.save(file)
    graph = to_onnx(NetworkWeights.of(model), recipe).SerializeToString()
    return lambda choice: chosen_engine(choice, graph, file, recipe)


def test_every_engine_can_be_chosen(choose: Choose) -> None:
    expected = choose("keras").probabilities(sequences_of(LENGTHS))
    for chosen, name in {
        "auto": "compiled", "compiled": "compiled", "onnx": "onnx", "keras": "keras",
    }.items():  # fmt: skip
        engine = choose(chosen)
        assert engine.name == name
        found = engine.probabilities(sequences_of(LENGTHS))
        np.testing.assert_allclose(found, expected, atol=1e-6, rtol=0)
    with pytest.raises(ConfigurationError, match=r"auto, compiled, onnx or keras\. It is 'x"):
        choose("xla")


def test_without_the_extra_onnx_runtime_scores(
    choose: Choose, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choice, "find_spec", lambda name: name != "llvmlite")
    assert choose("auto").name == "onnx"
    with pytest.raises(MissingExtraError, match=r"llvmlite.*imdb-classifier\[fast\]"):
        choose("compiled")


def test_a_network_that_does_not_fit_is_no_fault_of_llvmlite(
    choose: Choose, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choice, "weights_of", Mock(side_effect=BundleError("a", "b", "c")))
    with pytest.raises(BundleError, match="a b c"):
        choose("auto")


def test_threads_may_share_an_engine(engines: dict[str, Engine]) -> None:
    compiled = engines["16 lanes"]
    rows = sequences_of(LENGTHS * 20)
    expected = compiled.probabilities(rows)

    def scored(_: int) -> NDArray[np.float32]:
        return compiled.probabilities(rows)

    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(scored, range(8)):
            assert found.tobytes() == expected.tobytes()
