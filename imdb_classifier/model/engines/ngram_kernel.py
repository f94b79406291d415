"""The sums of the weights of each review's n-grams, compiled by LLVM for the CPU it runs on.

The n-grams of a review are hashed, then looked up in a table with linear probing (Knuth, The Art of
Computer Programming, 6.4), in which a fingerprint and its weight are one word, so that most
look-ups read one line of the cache. Which line is known long before, so the CPU fetches it
meanwhile (Mowry, Lam and Gupta, Design and Evaluation of a Compiler Algorithm for Prefetching,
1992); and several slots are compared at once, because no branch predictor foresees what a hash
leads to. The n-grams that a review contains already are told by a second table, which is small
enough for the first level of the cache. So nothing is sorted. Weights are multiples of one number
(`weights.eight_bits`), so float64 sums are exact in any order.
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
_SLOTS: Final = 4
"""Slots that are compared at once; a look-up seldom needs more."""
_AHEAD: Final = 24
"""By how many look-ups a fetch comes before the look-up it is for."""


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
    # A search that begins behind the last slot in use still reads `_SLOTS` of them.
    table = np.zeros(slots.max(initial=(1 << bits) - 1) + 1 + _SLOTS, np.uint64)
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
    """Return ``sums(table, shift, ids, offsets, sizes, listed, seen, found, reviews)``.

    This function adds the weights of the different n-grams of each review, with ``in_parts`` also
    of those of `ngrams.REVIEW_PARTS`, and releases the GIL meanwhile. The arguments are:

    - table and shift: from `table_of`;
    - ids: int32, (tokens,);
    - offsets: int64, (reviews + 1,): review i is ``ids[offsets[i]:offsets[i + 1]]``, never empty;
    - sizes: int64, (reviews,): from `seen_sizes`;
    - listed and seen: int32, (slots,), as many as the largest of the sizes; changed;
    - found: float64, (reviews,): becomes the sums;
    - reviews: the number of reviews, at least 1.
    """
    longs, words = array_of(np.int64), array_of(np.int32)
    arrays = (words, longs, longs, words, words, array_of(np.float64))
    kinds = (array_of(np.uint64), ctypes.c_int32, *arrays, ctypes.c_int64)
    return compiled(_Builder(in_parts).function, kinds)


class _Builder(FunctionBuilder):
    """Builds the function ``sums``."""

    def __init__(self, in_parts: bool) -> None:
        super().__init__("sums", [POINTER, INT32, *[POINTER] * 6, INT64])
        self.parts = REVIEW_PARTS if in_parts else REVIEW_PARTS[:1]
        self.begins, self.ends = (self.alloca(INT64, len(self.parts)) for _ in range(2))
        self.table, self.shift, ids, offsets, sizes, *others, reviews = self.arguments
        self.listed, self.seen, found = others
        self.count, self.sum = self.alloca(INT64), self.alloca(DOUBLE)
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
            self.store(INT64(0), self.count)
            with self.loop(length) as (before, _):
                token = self.zext(self.at(ids, self.add(begin, before), INT32), INT64)
                self.list_ngrams(token, before, length)
            hashed = self.load(self.count, typ=INT64)
            self.store(INT64(0), self.count)
            with self.loop(hashed) as (place, _):
                later = self.add(place, INT64(_AHEAD))
                later = self.select(self.icmp_signed("<", later, hashed), later, place)
                soon = self.first_slot(self.at(self.listed, later, INT32))
                self.fetch(self.gep(self.table, [soon], source_etype=INT64))
                self.look_up(self.at(self.listed, place, INT32))
            weighted = self.load(self.count, typ=INT64)
            with (
                self.if_then(self.icmp_signed(">", weighted, INT64(0))),
                self.loop(weighted) as (place, _),
            ):
                self.add_weight(self.at(self.listed, place, INT32), self.sub(size, INT64(1)))
            self.put(self.load(self.sum, typ=DOUBLE), found, review)
        self.ret_void()

    def list_ngrams(self, token: ir.Value, before: ir.Value, length: ir.Value) -> None:
        """Emit the listing of the n-grams that end at a token with so many before it."""
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
                    hashed = self.mul(marked, INT64(int(BASE)))
                    fingerprint = self.lshr(hashed, INT64(int(FINGERPRINT_BITS)))
                    self.append(self.trunc(fingerprint, INT32), INT64(1))

    def append(self, number: ir.Value, stays: ir.Value) -> None:
        """Emit the writing of a number behind the list, which it joins if `stays` is 1, not 0."""
        count = self.load(self.count, typ=INT64)
        self.put(number, self.listed, count)
        self.store(self.add(count, stays), self.count)

    def first_slot(self, fingerprint: ir.Value) -> ir.Value:
        return self.zext(self.lshr(fingerprint, self.shift), INT64)

    def look_up(self, fingerprint: ir.Value) -> None:
        """Emit the search for an n-gram: if it has a weight, its slot is listed in its place.

        The list is written where it has been read. No fingerprint is behind an empty slot.
        """
        words, keys = (ir.VectorType(kind, _SLOTS) for kind in (INT64, INT32))
        one_bit_each, nothing = ir.IntType(_SLOTS), ir.Constant(keys, ir.Undefined)
        wanted = self.insert_element(nothing, fingerprint, INT32(0))
        wanted = self.shuffle_vector(wanted, nothing, keys([0] * _SLOTS))
        first = self.first_slot(fingerprint)
        before, search, after = self.block, self.append_basic_block(), self.append_basic_block()
        self.branch(search)
        self.position_at_end(search)
        slot = self.phi(INT64)
        place = self.gep(self.table, [slot], source_etype=INT64)
        found = self.load(place, typ=words, align=8)
        equal = self.icmp_unsigned("==", self.trunc(found, keys), wanted)
        # An empty slot has the fingerprint 0, too, and the weight 0, which adds nothing.
        empty = self.icmp_unsigned("==", found, words([0] * _SLOTS))
        equal, empty = (self.bitcast(bits, one_bit_each) for bits in (equal, empty))
        slot.add_incoming(first, before)
        slot.add_incoming(self.add(slot, INT64(_SLOTS)), search)
        stops = self.icmp_unsigned("!=", self.or_(equal, empty), one_bit_each(0))
        self.cbranch(stops, after, search)
        self.position_at_end(after)
        further = self.cttz(self.zext(equal, INT64), ir.IntType(1)(0))
        has_weight = self.icmp_unsigned("!=", equal, one_bit_each(0))
        self.append(self.trunc(self.add(slot, further), INT32), self.zext(has_weight, INT64))

    def add_weight(self, slot: ir.Value, mask: ir.Value) -> None:
        """Emit the addition of the weight in a slot, if it is new in this review."""
        # The slot plus 1 stands for the n-gram; 0 is for none.
        number = self.add(slot, INT32(1))
        before, search, after = self.block, self.append_basic_block(), self.append_basic_block()
        first = self.and_(self.zext(slot, INT64), mask)
        self.branch(search)
        self.position_at_end(search)
        place = self.phi(INT64)
        found = self.at(self.seen, place, INT32)
        place.add_incoming(first, before)
        place.add_incoming(self.and_(self.add(place, INT64(1)), mask), search)
        is_new = self.icmp_unsigned("==", found, INT32(0))
        stops = self.or_(is_new, self.icmp_unsigned("==", found, number))
        self.cbranch(stops, after, search)
        self.position_at_end(after)
        self.put(number, self.seen, place)
        word = self.at(self.table, self.zext(slot, INT64), INT64)
        weight = self.bitcast(self.trunc(self.lshr(word, INT64(32)), INT32), FLOAT)
        added = self.select(is_new, self.fpext(weight, DOUBLE), DOUBLE(0))
        self.store(self.fadd(self.load(self.sum, typ=DOUBLE), added), self.sum)
