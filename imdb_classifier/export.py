"""A trained network as an ONNX graph, built from its weights.

The graph is Gather, LSTM with ``sequence_lens``, Gemm and Sigmoid: nothing is traced, so there is
no loop in it (https://onnx.ai/onnx/operators/onnx__LSTM.html). Padding stands behind the tokens and
is never looked at. A network that was trained with padding in front, running through its LSTM,
starts each review from the state which that padding would have left: token 0 fed k times gives a
state that depends on k alone, so a table of ``sequence_length + 1`` states replaces all that work.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from imdb_classifier.config import Recipe
from imdb_classifier.encoding import PADDING
from imdb_classifier.errors import MissingExtraError
from imdb_classifier.network import NetworkWeights

if TYPE_CHECKING:
    import onnx

OPSET: Final = 17
IR_VERSION: Final = 8
"""Both old enough for every ONNX Runtime that the package admits."""

TOKEN_IDS_INPUT: Final = "token_ids"
LENGTHS_INPUT: Final = "lengths"
OUTPUT: Final = "probability"


def to_onnx(weights: NetworkWeights, recipe: Recipe) -> onnx.ModelProto:
    """The network as a graph from token ids to probabilities.

    Inputs are ``token_ids``, int32, (time, batch), padded at the end, and ``lengths``, int32,
    (batch,), at least 1; the output is ``probability``, float32, (batch,), of positive.

    Args:
        weights: What the network has learned.
        recipe: What it was built from.

    Raises:
        MissingExtraError: The package onnx is not installed.
    """
    try:
        from onnx import TensorProto, helper, numpy_helper
    except ImportError as error:
        raise MissingExtraError("Exporting a model", "onnx", "train") from error

    units = recipe.network.lstm_units
    bias = np.concatenate([_gates_to_onnx(weights.bias), np.zeros(4 * units, np.float32)])
    constants = {
        "embedding": weights.embedding,
        "kernel": _gates_to_onnx(weights.kernel).T[None],
        "recurrent_kernel": _gates_to_onnx(weights.recurrent_kernel).T[None],
        "bias": bias[None],
        "output_kernel": weights.output_kernel,
        "output_bias": weights.output_bias,
        "flat": np.array([-1], dtype=np.int64),
        "state_shape": np.array([-1, units], dtype=np.int64),
    }
    nodes = [helper.make_node("Gather", ["embedding", TOKEN_IDS_INPUT], ["vectors"])]
    initial = []
    if not recipe.network.masked:
        hidden, cell = states_after_padding(weights, recipe.encoding.sequence_length)
        constants |= {
            "hidden_after_padding": hidden,
            "cell_after_padding": cell,
            "sequence_length": np.array(recipe.encoding.sequence_length, dtype=np.int32),
            "direction": np.array([0], dtype=np.int64),
        }
        initial = ["initial_hidden", "initial_cell"]
        nodes += [
            helper.make_node("Sub", ["sequence_length", LENGTHS_INPUT], ["padding"]),
            helper.make_node("Gather", ["hidden_after_padding", "padding"], ["hidden"]),
            helper.make_node("Gather", ["cell_after_padding", "padding"], ["cell"]),
            helper.make_node("Unsqueeze", ["hidden", "direction"], ["initial_hidden"]),
            helper.make_node("Unsqueeze", ["cell", "direction"], ["initial_cell"]),
        ]
    nodes += [
        helper.make_node(
            "LSTM",
            ["vectors", "kernel", "recurrent_kernel", "bias", LENGTHS_INPUT, *initial],
            ["", "last_hidden"],
            hidden_size=units,
        ),
        helper.make_node("Reshape", ["last_hidden", "state_shape"], ["review"]),
        helper.make_node("Gemm", ["review", "output_kernel", "output_bias"], ["logits"]),
        helper.make_node("Sigmoid", ["logits"], ["column"]),
        helper.make_node("Reshape", ["column", "flat"], [OUTPUT]),
    ]
    graph = helper.make_graph(
        nodes,
        "imdb_classifier",
        [
            helper.make_tensor_value_info(TOKEN_IDS_INPUT, TensorProto.INT32, ["time", "batch"]),
            helper.make_tensor_value_info(LENGTHS_INPUT, TensorProto.INT32, ["batch"]),
        ],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["batch"])],
        [
            numpy_helper.from_array(np.ascontiguousarray(value), name)
            for name, value in constants.items()
        ],
    )
    return helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="imdb_classifier",
    )


def weights_of(model: bytes) -> NetworkWeights:
    """The weights that `to_onnx` put into a graph: its inverse.

    Args:
        model: The serialised graph.

    Raises:
        MissingExtraError: The package onnx is not installed.
    """
    try:
        from onnx import load_model_from_string, numpy_helper
    except ImportError as error:
        raise MissingExtraError("Reading a model's weights", "onnx", "fast") from error

    constants = {
        constant.name: numpy_helper.to_array(constant)
        for constant in load_model_from_string(model).graph.initializer
    }
    kernel, recurrent_kernel = (
        _gates_to_keras(constants[name][0].T) for name in ("kernel", "recurrent_kernel")
    )
    return NetworkWeights(
        embedding=constants["embedding"],
        kernel=kernel,
        recurrent_kernel=recurrent_kernel,
        bias=_gates_to_keras(constants["bias"][0, : kernel.shape[1]]),
        output_kernel=constants["output_kernel"],
        output_bias=constants["output_bias"],
    )


def states_after_padding(
    weights: NetworkWeights, longest: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The LSTM's state after 0, 1, ... `longest` tokens of padding.

    Hochreiter and Schmidhuber (1997) with the forget gate of Gers et al. (2000), as Keras has it.

    Returns:
        Hidden and cell states: float32, (longest + 1, units) each.
    """
    # In double precision, so that 500 steps add no rounding of their own.
    from_input = weights.embedding[PADDING].astype(np.float64) @ weights.kernel + weights.bias
    recurrent_kernel = weights.recurrent_kernel.astype(np.float64)
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
    """Gates in Keras' order (input, forget, candidate, output) to ONNX's (i, o, f, c)."""
    inputs, forget, candidate, outputs = np.split(values, 4, axis=-1)
    return np.concatenate([inputs, outputs, forget, candidate], axis=-1)


def _gates_to_keras(values: NDArray[np.float32]) -> NDArray[np.float32]:
    inputs, outputs, forget, candidate = np.split(values, 4, axis=-1)
    return np.concatenate([inputs, forget, candidate, outputs], axis=-1)
