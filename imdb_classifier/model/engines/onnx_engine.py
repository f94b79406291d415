"""Scoring with ONNX Runtime: needs no extra."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from imdb_classifier.text.batching import length_buckets, pad_right
from imdb_classifier.text.encoding import TokenSequences
from imdb_classifier.text.ngrams import Ngrams, padded_ngrams

ONNX_BATCH_ROWS: Final = 24
"""Reviews of one call of ONNX Runtime: enough for its matrix product, and few enough for what it
computes of all their steps beforehand to stay in the cache."""


class OnnxEngine:
    """A network run by ONNX Runtime, one thread a call.

    Args:
        model: The serialized graph that `onnx_export.to_onnx` built.
        ngrams: The n-grams that have a weight in it, if any.
    """

    name = "ONNX Runtime"

    def __init__(self, model: bytes, ngrams: Ngrams | None = None) -> None:
        # Here, for the compiled engine does without it.
        import onnxruntime

        self._ngrams = ngrams
        options = onnxruntime.SessionOptions()
        # Parallelism comes from callers, one chunk of rows a thread: a recurrent step is too
        # little work to be shared out.
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
            inputs = {"token_ids": pad_right(batch).T, "lengths": batch.lengths.astype(np.int32)}
            if self._ngrams is not None:
                inputs["ngram_ids"] = padded_ngrams(self._ngrams, batch).T
            contiguous = {name: np.ascontiguousarray(value) for name, value in inputs.items()}
            (result[rows],) = self._session.run(None, contiguous)
        return result
