"""Conversion of a trained network's weights into an ONNX graph.

The graph is Gather, LSTM with ``sequence_lens``, Gemm and Sigmoid: it is built, not traced, so it
contains no loops (https://onnx.ai/onnx/operators/onnx__LSTM.html). Padding follows the tokens and
is never read. A network that was trained with padding in front, which passes through its LSTM,
starts each review from the state that this padding would have left. The state after k tokens of
padding depends only on k, so a table of ``sequence_length + 1`` states replaces that computation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from imdb_classifier.config import NetworkConfig, Recipe
from imdb_classifier.errors import MissingExtraError
from imdb_classifier.model.weights import (
    NGRAM_WEIGHTS_LAYER,
    LstmWeights,
    NetworkWeights,
    eight_bits,
)
from imdb_classifier.text.encoding import PADDING

if TYPE_CHECKING:
    import onnx

OPSET: Final = 17
IR_VERSION: Final = 8
"""OPSET and IR_VERSION are old enough for every ONNX Runtime that the package supports."""

TOKEN_IDS_INPUT: Final = "token_ids"
NGRAM_IDS_INPUT: Final = "ngram_ids"
LENGTHS_INPUT: Final = "lengths"
OUTPUT: Final = "probability"

_NGRAMS: Final = NGRAM_WEIGHTS_LAYER

_FLOAT: Final = 1
"""ONNX's number for the type float32."""


@dataclass(frozen=True)
class Node:
    """An operator of a graph.

    Attributes:
        kind: Name of the operator.
        inputs: Names of constants, of inputs of the graph, or of other nodes' outputs.
        outputs: Names of its outputs; empty for those that are not used.
        attributes: Integers, texts, or lists of integers, by name.
    """

    kind: str
    inputs: Sequence[str]
    outputs: Sequence[str]
    attributes: Mapping[str, Any]


def to_onnx(weights: NetworkWeights, recipe: Recipe) -> onnx.ModelProto:
    """Return the network as a graph from token ids to probabilities.

    The inputs are ``token_ids``, int32, (time, batch), the tokens that the LSTM reads, padded at
    the end; ``lengths``, int32, (batch,), at least 1, of the whole reviews; and, in a network with
    n-grams, ``ngram_ids``, int32, (n-grams, batch), padded at the end. The output is
    ``probability``, float32, (batch,), of *positive*.

    Args:
        weights: The trained weights.
        recipe: The recipe of the model.

    Raises:
        MissingExtraError: The package onnx is not installed.
    """
    try:
        from onnx import TensorProto, helper, numpy_helper
    except ModuleNotFoundError as error:
        raise MissingExtraError("Exporting a model", "onnx", "train") from error

    inputs = [(TOKEN_IDS_INPUT, ["time", "batch"]), (LENGTHS_INPUT, ["batch"])]
    if recipe.network.ngrams:
        inputs.append((NGRAM_IDS_INPUT, ["ngrams", "batch"]))
    return helper.make_model(
        helper.make_graph(
            [
                helper.make_node(node.kind, node.inputs, node.outputs, **node.attributes)
                for node in nodes_of(recipe)
            ],
            "imdb_classifier",
            [
                helper.make_tensor_value_info(name, TensorProto.INT32, shape)
                for name, shape in inputs
            ],
            [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["batch"])],
            [
                numpy_helper.from_array(value, name)
                for name, value in constants_of(weights, recipe).items()
            ],
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="imdb_classifier",
    )


def nodes_of(recipe: Recipe) -> list[Node]:
    """Return the operators of a recipe's graph, in the order in which they run."""
    nodes: list[Node] = []

    def add(kind: str, inputs: list[str], *outputs: str, **attributes: Any) -> str:
        """Append a node and return its last output."""
        nodes.append(Node(kind, inputs, [*outputs], attributes))
        return outputs[-1]

    review = (_pooled if recipe.network.ngrams else _last_state)(add, recipe.network)
    add("Gemm", [review, "output_kernel", "output_bias"], "logits")
    add("Sigmoid", ["logits"], "column")
    add("Reshape", ["column", "flat"], OUTPUT)
    return nodes


def _last_state(add: Callable[..., str], network: NetworkConfig) -> str:
    add("Gather", ["embedding", TOKEN_IDS_INPUT], "vectors")
    inputs = ["vectors", "kernel", "recurrent_kernel", "bias", LENGTHS_INPUT]
    if not network.masked:
        add("Sub", ["sequence_length", LENGTHS_INPUT], "padding")
        for state in ("hidden", "cell"):
            add("Gather", [f"{state}_after_padding", "padding"], state)
            inputs.append(add("Unsqueeze", [state, "direction"], f"initial_{state}"))
    add("LSTM", inputs, "", "last_hidden", hidden_size=network.lstm_units)
    return add("Reshape", ["last_hidden", "state_shape"], "review")


def _pooled(add: Callable[..., str], network: NetworkConfig) -> str:
    for name, ids in (("words", TOKEN_IDS_INPUT), (_NGRAMS, NGRAM_IDS_INPUT)):
        add("Gather", [f"{name}_codes", ids], f"{name}_gathered")
        add("Cast", [f"{name}_gathered"], f"{name}_cast", to=_FLOAT)
    add("Mul", ["words_cast", "words_scale"], "vectors")

    def column(lengths: str) -> str:
        add("Cast", [lengths], f"{lengths}_cast", to=_FLOAT)
        return add("Reshape", [f"{lengths}_cast", "column_shape"], f"{lengths}_column")

    steps, read = LENGTHS_INPUT, (whole := column(LENGTHS_INPUT))
    if network.lstm_tokens:
        steps = add("Min", [LENGTHS_INPUT, "lstm_tokens"], "steps")
        read = column(steps)
    # The operator returns 0 for the states past a review's end.
    add(
        "LSTM",
        ["vectors", "kernel", "recurrent_kernel", "bias", steps],
        "states_by_direction",
        hidden_size=network.lstm_units,
        direction="bidirectional",
    )
    add("Transpose", ["states_by_direction"], "states_by_review", perm=[0, 2, 1, 3])
    add("Reshape", ["states_by_review", "states_shape"], "states")
    add("ReduceMax", ["states"], "largest", axes=[0], keepdims=0)
    add("Relu", ["largest"], "peaks")
    pooled = ["peaks"]
    for name in ("states", "vectors"):
        add("ReduceSum", [name, "first_axis"], f"{name}_total", keepdims=0)
        pooled.append(add("Div", [f"{name}_total", read], f"{name}_mean"))
    # Sums of integers are exact, so the weights are summed before they are scaled.
    add("ReduceSum", [f"{_NGRAMS}_cast", "first_axis"], f"{_NGRAMS}_total", keepdims=0)
    add("Mul", [f"{_NGRAMS}_total", f"{_NGRAMS}_scale"], f"{_NGRAMS}_sum")
    add("Reshape", [f"{_NGRAMS}_sum", "column_shape"], f"{_NGRAMS}_column")
    add("Sqrt", [whole], "length_root")
    pooled.append(add("Div", [f"{_NGRAMS}_column", "length_root"], "ngram_log_odds"))
    return add("Concat", pooled, "review", axis=1)


def constants_of(weights: NetworkWeights, recipe: Recipe) -> dict[str, NDArray[Any]]:
    """Return the constants of a graph by name, each with at least one dimension."""
    of_reviews = _pooled_constants if recipe.network.ngrams else _last_state_constants
    constants = {
        "output_kernel": weights.output_kernel,
        "output_bias": weights.output_bias,
        "flat": np.array([-1], dtype=np.int64),
        **of_reviews(weights, recipe),
    }
    return {name: np.ascontiguousarray(values) for name, values in constants.items()}


def _last_state_constants(weights: NetworkWeights, recipe: Recipe) -> dict[str, NDArray[Any]]:
    constants: dict[str, NDArray[Any]] = {
        "embedding": weights.words,
        "state_shape": np.array([-1, recipe.network.lstm_units], dtype=np.int64),
        **_lstm_constants(weights.directions),
    }
    if recipe.network.masked:
        return constants
    hidden, cell = states_after_padding(weights, recipe.encoding.sequence_length)
    return constants | {
        "hidden_after_padding": hidden,
        "cell_after_padding": cell,
        "sequence_length": np.array(recipe.encoding.sequence_length, dtype=np.int32),
        "direction": np.array([0], dtype=np.int64),
    }


def _pooled_constants(weights: NetworkWeights, recipe: Recipe) -> dict[str, NDArray[Any]]:
    constants: dict[str, NDArray[Any]] = {}
    for name, table in (("words", weights.words), (_NGRAMS, weights.ngram_weights)):
        codes, scale = eight_bits(table)
        codes[PADDING] = 0  # so that padding adds nothing to a sum
        constants |= {f"{name}_codes": codes, f"{name}_scale": scale}
    if recipe.network.lstm_tokens:
        constants["lstm_tokens"] = np.array([recipe.network.lstm_tokens], dtype=np.int32)
    return constants | {
        "first_axis": np.array([0], dtype=np.int64),
        "column_shape": np.array([-1, 1], dtype=np.int64),
        **_lstm_constants(weights.directions),
        "states_shape": np.array([0, 0, -1], dtype=np.int64),
    }


def _lstm_constants(directions: Sequence[LstmWeights]) -> dict[str, NDArray[np.float32]]:
    units = len(directions[0].recurrent_kernel)
    no_bias = np.zeros(4 * units, np.float32)
    return {
        "kernel": np.stack([_gates_to_onnx(lstm.kernel).T for lstm in directions]),
        "recurrent_kernel": np.stack(
            [_gates_to_onnx(lstm.recurrent_kernel).T for lstm in directions]
        ),
        "bias": np.stack(
            [np.concatenate([_gates_to_onnx(lstm.bias), no_bias]) for lstm in directions]
        ),
    }


def states_after_padding(
    weights: NetworkWeights, longest: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the LSTM's state after 0, 1, ... `longest` tokens of padding.

    Hochreiter and Schmidhuber (1997) with the forget gate of Gers et al. (2000), as in Keras.

    Returns:
        Hidden and cell states: float32, (longest + 1, units) each.
    """
    lstm = weights.directions[0]
    # In double precision, so that 500 steps add no rounding errors of their own.
    from_input = weights.words[PADDING].astype(np.float64) @ lstm.kernel + lstm.bias
    recurrent_kernel = lstm.recurrent_kernel.astype(np.float64)
    hidden = np.zeros((longest + 1, len(recurrent_kernel)))
    cell = np.zeros_like(hidden)
    for step in range(longest):
        gates = from_input + hidden[step] @ recurrent_kernel
        inputs, forget, candidate, outputs = np.split(gates, 4)
        cell[step + 1] = _sigmoid(forget) * cell[step] + _sigmoid(inputs) * np.tanh(candidate)
        hidden[step + 1] = _sigmoid(outputs) * np.tanh(cell[step + 1])
    return hidden.astype(np.float32), cell.astype(np.float32)


def _sigmoid(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(1 / (1 + np.exp(-values)))


def _gates_to_onnx(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Reorder gates from Keras' order (input, forget, candidate, output) to ONNX's (i, o, f, c)."""
    inputs, forget, candidate, outputs = np.split(values, 4, axis=-1)
    return np.concatenate([inputs, outputs, forget, candidate], axis=-1)
