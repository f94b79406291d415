"""Weights from the graph of a bundle, which nobody vouches for.

An ONNX file may name other files to read weights from, and operators that take any amount of
memory. A graph is therefore accepted only if it is the one that `onnx_export.to_onnx` builds for
the recipe, with every weight in the file itself. It is read as a message of Protocol Buffers
(https://protobuf.dev/programming-guides/encoding/) with the field numbers of ONNX's schema
(https://github.com/onnx/onnx/blob/main/onnx/onnx.proto).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from imdb_classifier.config import Recipe
from imdb_classifier.errors import BundleError
from imdb_classifier.model.onnx_export import Node, constants_of, nodes_of
from imdb_classifier.model.weights import NGRAM_WEIGHTS_LAYER, LstmWeights, NetworkWeights

# The fields that `to_onnx` writes. Others could hold further graphs, or names of files.
_MODEL: Final = {1: "ir_version", 2: "producer_name", 7: "graph", 8: "opset_import"}
_GRAPH: Final = {1: "node", 2: "name", 5: "initializer", 11: "input", 12: "output"}
_NODE: Final = {1: "input", 2: "output", 4: "op_type", 5: "attribute"}
_ATTRIBUTE: Final = {1: "name", 3: "i", 4: "s", 8: "ints", 20: "type"}
_TENSOR: Final = {1: "dims", 2: "data_type", 8: "name", 9: "raw_data"}

_TYPES: Final[Mapping[int, np.dtype[Any]]] = {
    1: np.dtype("<f4"),
    3: np.dtype("i1"),
    6: np.dtype("<i4"),
    7: np.dtype("<i8"),
}
"""ONNX's numbers for the types of constants."""
_VARINT: Final = 0
_BYTES: Final = 2
_VARINT_BITS: Final = 70


def weights_of(model: bytes, recipe: Recipe) -> NetworkWeights:
    """Return the weights in a graph from `to_onnx`: its inverse, except for padding's vectors.

    Args:
        model: The serialized graph.
        recipe: The recipe of the model.

    Raises:
        BundleError: The graph is not the one that `to_onnx` builds for this recipe.
    """
    try:
        nodes, constants = _parsed(model)
        if list(_by_position(nodes)) != list(_by_position(nodes_of(recipe))):
            raise _not_exported("has other operators")
        weights = _weights(constants)
        weights.check(recipe)
        if not recipe.network.masked:
            # As many states are computed next.
            longest = len(constants["hidden_after_padding"]) - 1
            if longest != recipe.encoding.sequence_length:
                raise _not_exported("has other constants")
        _check_constants(constants, constants_of(weights, recipe))
    except BundleError:
        raise
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        raise _not_exported("cannot be read") from error
    return weights


def _not_exported(what: str) -> BundleError:
    return BundleError(
        "The graph of a model bundle must be the one that imdb-classifier exports for its recipe.",
        f"This one {what}.",
        "Restore the bundle from a copy, or retrain the model.",
    )


def _parsed(model: bytes) -> tuple[list[Node], dict[str, NDArray[Any]]]:
    """Return the nodes of a serialized model, and its constants by name."""
    (graph,) = _message(memoryview(model), _MODEL)["graph"]
    found = _message(graph, _GRAPH)
    return [*map(_node, found["node"])], dict(map(_constant, found["initializer"]))


def _node(message: memoryview) -> Node:
    found = _message(message, _NODE)
    (kind,) = found["op_type"]
    inputs, outputs = ([*map(_text, found[field])] for field in ("input", "output"))
    return Node(_text(kind), inputs, outputs, dict(map(_attribute, found["attribute"])))


def _attribute(message: memoryview) -> tuple[str, Any]:
    found = _message(message, _ATTRIBUTE)
    (name,) = found["name"]
    value = found["ints"] or [*found["i"], *map(_text, found["s"])]
    return _text(name), value if found["ints"] else value[0]


def _constant(message: memoryview) -> tuple[str, NDArray[Any]]:
    found = _message(message, _TENSOR)
    (name,), (kind,), (data,) = found["name"], found["data_type"], found["raw_data"]
    return _text(name), np.frombuffer(data, _TYPES[kind]).reshape(found["dims"])


def _message(data: memoryview, fields: Mapping[int, str]) -> dict[str, list[Any]]:
    """Return the values of a message by field: integers, and everything else as bytes.

    Raises:
        LookupError: It has other fields, or ends early.
        ValueError: It has values of other kinds, or ends early.
    """
    found: dict[str, list[Any]] = {name: [] for name in fields.values()}
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        values = found[fields[key >> 3]]
        value, at = _varint(data, at)
        if key & 7 == _BYTES:
            begin, at = at, at + value
            if at > len(data):
                raise ValueError("a value ends early")
            values.append(data[begin:at])
        elif key & 7 == _VARINT:
            values.append(value)
        else:
            raise ValueError("a value is of another kind")
    return found


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    """Return the integer at a position, and the position after it."""
    value = shift = 0
    while shift < _VARINT_BITS:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
    raise ValueError("an integer is too long")


def _text(data: memoryview) -> str:
    return str(data, "utf-8")


def _by_position(nodes: Iterable[Node]) -> Iterator[Node]:
    """Yield nodes with their outputs named by position, because releases name them otherwise."""
    names: dict[str, str] = {}
    for number, node in enumerate(nodes):
        inputs = [names.get(name, name) for name in node.inputs]
        outputs = [name and f"{number}:{place}" for place, name in enumerate(node.outputs)]
        names |= zip(node.outputs, outputs, strict=True)
        yield Node(node.kind, inputs, outputs, node.attributes)


def _weights(constants: Mapping[str, NDArray[Any]]) -> NetworkWeights:
    if "embedding" in constants:
        words, ngram_weights = constants["embedding"], np.empty(0, np.float32)
    else:
        words, ngram_weights = (
            constants[f"{name}_codes"] * constants[f"{name}_scale"]
            for name in ("words", NGRAM_WEIGHTS_LAYER)
        )
    directions = tuple(
        LstmWeights(
            _gates_to_keras(kernel.T),
            _gates_to_keras(recurrent_kernel.T),
            _gates_to_keras(bias[: len(bias) // 2]),
        )
        for kernel, recurrent_kernel, bias in zip(
            constants["kernel"], constants["recurrent_kernel"], constants["bias"], strict=True
        )
    )
    return NetworkWeights(
        words, ngram_weights, directions, constants["output_kernel"], constants["output_bias"]
    )


def _gates_to_keras(values: NDArray[np.float32]) -> NDArray[np.float32]:
    inputs, outputs, forget, candidate = np.split(values, 4, axis=-1)
    return np.concatenate([inputs, forget, candidate, outputs], axis=-1)


def _check_constants(
    found: Mapping[str, NDArray[Any]], expected: Mapping[str, NDArray[Any]]
) -> None:
    """Check names, types and shapes of constants, and the values of those that are no weights."""
    kinds, expected_kinds = (
        {name: (values.dtype, values.shape) for name, values in constants.items()}
        for constants in (found, expected)
    )
    if kinds != expected_kinds or any(
        not np.array_equal(found[name], values)
        for name, values in expected.items()
        if values.dtype in (np.int32, np.int64)
    ):
        raise _not_exported("has other constants")
