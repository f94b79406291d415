from __future__ import annotations

import numpy as np
import pytest

from imdb_classifier.model.weights import eight_bits


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
