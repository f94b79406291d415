"""The sums of the weights of each review's n-grams, compiled by LLVM for the CPU it runs on.

The n-grams that end at a token are hashed while it is read, and looked up in a table with linear
probing (Knuth, The Art of Computer Programming, 6.4), in which a fingerprint and its weight are one
word, so that most look-ups read one line of the cache. Those that a review contains already are
told by a second table, which is small enough for the first level of the cache. So nothing is
sorted. Weights are multiples of one number (`weights.eight_bits`), so float64 sums are exact in any
order.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache
from typing import Final

import numpy as np
from llvmlite import ir
from numpy.typing import NDArray

from imdb_classifier.model.engines.compiler import (
    DOUBLE,
    FLOAT,
    INT32,
    INT64,
    POINTER,
    FunctionBuilder,
    array_of,
    compiled,
)
from imdb_classifier.text.ngrams import BASE, FINGERPRINT_BITS, LONGEST, REVIEW_PARTS, marker

_SPARE_BITS: Final = 1
"""Of each table, a quarter to a half is used."""


def table_of(
    listed: NDArray[np.uint32], weights: NDArray[np.float32]
) -> tuple[NDArray[np.uint64], int]:
    """Return n-grams as the kernel looks them up.

    Args:
        listed: uint32, (n-grams,), their fingerprints, ascending and unique.
        weights: float32, (n-grams,).

    Returns:
        uint64, (slots,): a weight above its fingerprint, and 0 where there is none; and how far a
        fingerprint is shifted for its first slot.
    """
    # Without those that add nothing, no word in use is 0.
    adds = weights != 0
    listed, weights = listed[adds], weights[adds]
    bits = min(len(listed).bit_length() + _SPARE_BITS, 32)
    shift = 32 - bits
    numbers = np.arange(len(listed))
    # Each takes its first slot, or the one behind that of the fingerprint before it.
    slots = numbers + np.maximum.accumulate((listed >> np.uint32(shift)) - numbers)
    table = np.zeros(slots.max(initial=(1 << bits) - 1) + 2, np.uint64)
    table[slots] = weights.view(np.uint32).astype(np.uint64) << np.uint64(32) | listed
    return table, shift


def seen_sizes(lengths: NDArray[np.int64], in_parts: bool) -> NDArray[np.int64]:
    """Return for each review how many slots its own table needs, a power of two: int64."""
    tokens = lengths.copy()
    for size in REVIEW_PARTS if in_parts else ():
        tokens += np.minimum(lengths, abs(size))
    bits = np.frexp(LONGEST * tokens)[1].astype(np.int64)
    return np.left_shift(np.int64(1), bits + _SPARE_BITS)


@cache
def compile_sums(in_parts: bool) -> Callable[..., None]:
    """Return the function ``sums(table, shift, ids, offsets, sizes, seen, found, reviews)``.

    It adds the weights of the different n-grams of each review, with ``in_parts`` also of those of
    `ngrams.REVIEW_PARTS`, and releases the GIL meanwhile. The arguments are:

    - table and shift: from `table_of`;
    - ids: int32, (tokens,);
    - offsets: int64, (reviews + 1,): review i is ``ids[offsets[i]:offsets[i + 1]]``, never empty;
    - sizes: int64, (reviews,): from `seen_sizes`;
    - seen: int32, (slots,), as many as the largest of the sizes; changed;
    - found: float64, (reviews,): becomes the sums;
    - reviews: the number of reviews, at least 1.
    """
    longs, words = array_of(np.int64), array_of(np.int32)
    arrays = (words, longs, longs, words, array_of(np.float64))
    kinds = (array_of(np.uint64), ctypes.c_int32, *arrays, ctypes.c_int64)
    return compiled(_Builder(in_parts).function, kinds)


class _Builder(FunctionBuilder):
    """Builds the function ``sums``."""

    def __init__(self, in_parts: bool) -> None:
        super().__init__("sums", [POINTER, INT32, *[POINTER] * 5, INT64])
        self.parts = REVIEW_PARTS if in_parts else REVIEW_PARTS[:1]
        self.begins, self.ends = (self.alloca(INT64, len(self.parts)) for _ in range(2))
        self.table, self.shift, ids, offsets, sizes, self.seen, found, reviews = self.arguments
        self.sum = self.alloca(DOUBLE)
        # The numbers of the n-grams that end at the token before, by length.
        self.numbers = [self.alloca(INT64) for _ in range(LONGEST - 1)]
        with self.loop(reviews) as (review, _):
            begin = self.at(offsets, review, INT64)
            end = self.at(offsets, self.add(review, INT64(1)), INT64)
            size = self.at(sizes, review, INT64)
            with self.loop(size) as (slot, _):
                self.put(INT32(0), self.seen, slot)
            self.store(DOUBLE(0), self.sum)
            for number in self.numbers:
                self.store(INT64(0), number)
            length = self.sub(end, begin)
            for part, tokens in enumerate(self.parts):
                starts = self.add(length, INT64(tokens)) if tokens < 0 else INT64(0)
                self.put(starts, self.begins, INT64(part))
                self.put(INT64(tokens) if tokens > 0 else length, self.ends, INT64(part))
            with self.loop(length) as (before, _):
                token = self.zext(self.at(ids, self.add(begin, before), INT32), INT64)
                self.add_ngrams(token, before, length, self.sub(size, INT64(1)))
            self.put(self.load(self.sum, typ=DOUBLE), found, review)
        self.ret_void()

    def add_ngrams(
        self, token: ir.Value, before: ir.Value, length: ir.Value, mask: ir.Value
    ) -> None:
        """Emit the addition of the n-grams that end at a token with so many before it."""
        numbers = [token]
        for shorter in self.numbers:
            number = self.mul(self.load(shorter, typ=INT64), INT64(int(BASE)))
            numbers.append(self.add(number, token))
        for number, place in zip(numbers, self.numbers, strict=False):
            self.store(number, place)
        for earlier, number in enumerate(numbers):
            first = self.sub(before, INT64(earlier))
            # Most n-grams are in no part but the whole.
            is_early = self.icmp_signed("<", before, INT64(max(self.parts)))
            is_late = self.icmp_signed(">=", first, self.add(length, INT64(min(self.parts))))
            parts = self.select(self.or_(is_early, is_late), INT64(len(self.parts)), INT64(1))
            with (
                self.if_then(self.icmp_signed(">=", first, INT64(0))),
                self.loop(parts) as (part, _),
            ):
                has_begun = self.icmp_signed(">=", first, self.at(self.begins, part, INT64))
                has_not_ended = self.icmp_signed("<", before, self.at(self.ends, part, INT64))
                with self.if_then(self.and_(has_begun, has_not_ended)):
                    marked = self.add(number, self.mul(part, INT64(marker(1))))
                    self.add_ngram(marked, mask)

    def add_ngram(self, number: ir.Value, mask: ir.Value) -> None:
        """Emit the addition of an n-gram's weight, if it is listed and new in this review."""
        hashed = self.lshr(self.mul(number, INT64(int(BASE))), INT64(int(FINGERPRINT_BITS)))
        fingerprint = self.trunc(hashed, INT32)
        first = self.zext(self.lshr(fingerprint, self.shift), INT64)
        slot, word = self.probe(self.table, INT64, first, INT64(-1), fingerprint)
        with self.if_then(self.icmp_unsigned("!=", word, INT64(0))):
            # The slot stands for the n-gram; 0 is for none.
            known_as = self.trunc(self.add(slot, INT64(1)), INT32)
            place, found = self.probe(self.seen, INT32, self.and_(slot, mask), mask, known_as)
            with self.if_then(self.icmp_unsigned("==", found, INT32(0))):
                self.put(known_as, self.seen, place)
                weight = self.bitcast(self.trunc(self.lshr(word, INT64(32)), INT32), FLOAT)
                total = self.fadd(self.load(self.sum, typ=DOUBLE), self.fpext(weight, DOUBLE))
                self.store(total, self.sum)

    def probe(
        self, table: ir.Value, kind: ir.Type, first: ir.Value, mask: ir.Value, wanted: ir.Value
    ) -> tuple[ir.Value, ir.Value]:
        """Emit the search for a key, the lower half of a word, from its first slot on.

        Returns:
            The slot where it stands, or the first empty one; the word there, 0 if it is empty.
        """
        before, search, after = self.block, self.append_basic_block(), self.append_basic_block()
        self.branch(search)
        self.position_at_end(search)
        slot = self.phi(INT64)
        word = self.at(table, slot, kind)
        key = word if kind == INT32 else self.trunc(word, INT32)
        slot.add_incoming(first, before)
        slot.add_incoming(self.and_(self.add(slot, INT64(1)), mask), search)
        stops = self.or_(
            self.icmp_unsigned("==", word, kind(0)), self.icmp_unsigned("==", key, wanted)
        )
        self.cbranch(stops, after, search)
        self.position_at_end(after)
        return slot, word

    def at(self, array: ir.Value, position: ir.Value, kind: ir.Type) -> ir.Value:
        return self.load(self.gep(array, [position], source_etype=kind), typ=kind)

    def put(self, value: ir.Value, array: ir.Value, position: ir.Value) -> None:
        self.store(value, self.gep(array, [position], source_etype=value.type))
