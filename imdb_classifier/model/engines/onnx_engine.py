"""The engine that needs no extra: ONNX Runtime."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from imdb_classifier.config import Recipe
from imdb_classifier.text.batching import length_buckets, pad_right, tokens_read
from imdb_classifier.text.encoding import TokenSequences
from imdb_classifier.text.ngrams import Ngrams, padded_ngrams

ONNX_BATCH_ROWS: Final = 24
"""Reviews per call of ONNX Runtime: enough for fast matrix products, and few enough that the input
products of all steps, which it computes first, stay in the cache."""


class OnnxEngine:
    """Runs the network with ONNX Runtime, with one thread per call.

    Args:
        model: The serialized graph from `onnx_export.to_onnx`.
        recipe: The recipe of the model.
        ngrams: The n-grams with a weight in the network, if any.
    """

    name: Final = "onnx"

    def __init__(self, model: bytes, recipe: Recipe, ngrams: Ngrams | None = None) -> None:
        # Imported here because the compiled engine does not need it.
        import onnxruntime

        self._network = recipe.network
        self._ngrams = ngrams
        options = onnxruntime.SessionOptions()
        # Callers score one chunk of rows per thread: a recurrent step is too little work to split.
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            model, options, providers=["CPUExecutionProvider"]
        )

    def probabilities(self, sequences: TokenSequences) -> NDArray[np.float32]:
        """See `Engine`."""
        result = np.empty(len(sequences), dtype=np.float32)
        for rows in length_buckets(sequences.lengths, ONNX_BATCH_ROWS):
            batch = sequences.take(rows)
            inputs = {
                "token_ids": pad_right(tokens_read(self._network, batch)).T,
                "lengths": batch.lengths.astype(np.int32),
            }
            if self._ngrams is not None:
                inputs["ngram_ids"] = padded_ngrams(self._ngrams, batch).T
            contiguous = {name: np.ascontiguousarray(value) for name, value in inputs.items()}
            (result[rows],) = self._session.run(None, contiguous)
        return result
