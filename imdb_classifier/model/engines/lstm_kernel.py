"""The recurrence of an LSTM, compiled by LLVM for the CPU it runs on.

A step of an LSTM is one product of the state with the recurrent weights, then a few dozen
operations on each unit (Hochreiter and Schmidhuber, 1997; the forget gate of Gers et al., 2000).
Here the product never leaves the registers: a tile of `rows` reviews by `lanes` units keeps its
four gates in vector registers, and accumulates ``state @ recurrent`` in them. The operations on a
unit are a long chain, each waiting for the one before, so those of several tiles are computed
together. A token's contribution to the gates is looked up by its id, so there is no input product.
Reviews are not padded, and each is computed by the same operations in the same order in any batch,
so its result has the same bits.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import lru_cache
from typing import Final

import numpy as np
from llvmlite import binding, ir

from imdb_classifier.model.engines.compiler import (
    FLOAT,
    INT32,
    INT64,
    POINTER,
    FunctionBuilder,
    array_of,
    compiled,
)

CACHE_LINE: Final = 16
"""Numbers of four bytes."""
GATES: Final = 4
STATES: Final = 4
"""Hidden state, cell state, peak and total."""
TILES: Final = 4
"""Computed together: while one waits for its exponentials, the CPU works on another."""
CELL, PEAK, TOTAL, ARRAYS = 2, 3, 4, 5
"""Numbers of the arrays of states; 0 and 1 are the hidden states before and after a step."""
LOG2_E: Final = 1.4426950408889634
ROUND: Final = 1.5 * 2**23
"""Adding this to a float32 of magnitude below 2**22 puts the nearest integer in the lowest bits."""
POWER_OF_TWO: Final = np.polynomial.Chebyshev.interpolate(np.exp2, 5, domain=[-0.5, 0.5]).convert(
    kind=np.polynomial.Polynomial
)
"""2**x for x in [-0.5, 0.5], with a relative error of about 1e-7."""


def tile_shape() -> tuple[int, int]:
    """Return the lanes and rows of the tile that makes best use of this CPU's vector registers."""
    features = binding.get_host_cpu_features()
    if features.get("avx512f"):
        return 16, 6  # 24 of 32 registers hold gates
    return (8 if features.get("avx") else 4), 2  # 8 of 16


@lru_cache
def compile_lstm(units: int, lanes: int, rows: int, *, backwards: bool) -> Callable[..., None]:
    """Return the function ``lstm(table, recurrent, ids, offsets, order, states, space, tiles)``.

    It runs reviews through an LSTM of `units` units, each from its own initial state to its last
    token (`backwards`: from the last token to the first), and releases the GIL meanwhile. ``width``
    is `units` rounded up to a multiple of `lanes`. The arguments are:

    - table: float32, (words, width / lanes, 4, lanes): each word's contribution to the gates, in
      Keras' order (input, forget, candidate, output), times -log2(e), the candidate times
      -2 log2(e);
    - recurrent: float32, (width / lanes, units, 4, lanes): the recurrent weights, scaled likewise;
    - ids: int32, (tokens,): rows of the table;
    - offsets: int64, (reviews + 1,): review i is ``ids[offsets[i]:offsets[i + 1]]``, never empty;
    - order: int64, (tiles * rows,): every review, the longest first; the last may be repeated;
    - states: float32, (reviews, 4, width): the initial hidden state, cell state, peak and total of
      each review, which the final ones replace. A peak is the maximum of the initial peak and the
      hidden states of all steps, a total the sum of the initial total and these hidden states;
    - space: float32, (`space_size`,), to work in; changed;
    - tiles: the number of tiles, at least 1.
    """
    builder = _Builder(units, lanes, rows, backwards)
    floats, longs = array_of(np.float32), array_of(np.int64)
    kinds = (floats, floats, array_of(np.int32), longs, longs, floats, floats, ctypes.c_int64)
    return compiled(builder.function, kinds)


def space_size(units: int, lanes: int, rows: int) -> int:
    """Return how many numbers the function from `compile_lstm` works with."""
    blocks = -(-units // lanes)
    return TILES * rows * lanes * (ARRAYS * blocks + GATES)


class _Builder(FunctionBuilder):
    """Builds the function ``lstm`` in an LLVM module of its own."""

    def __init__(self, units: int, lanes: int, rows: int, backwards: bool) -> None:
        self.units, self.lanes, self.rows, self.backwards = units, lanes, rows, backwards
        self.blocks, self.most = -(-units // lanes), TILES * rows
        self.width = self.blocks * lanes
        self.vector = ir.VectorType(FLOAT, lanes)
        super().__init__("lstm", [POINTER] * 7 + [INT64])
        self.table, self.recurrent, self.ids, self.offsets = self.arguments[:4]
        self.order, self.outer_states, self.states, tiles = self.arguments[4:]
        # Behind the arrays of states, of `size` numbers each.
        self.size = self.most * self.width
        self.gates = self.gep(self.states, [INT64(ARRAYS * self.size)], source_etype=FLOAT)
        # Of each review: its first token, how many follow, and where its states are outside.
        self.starts, self.lasts, self.homes = (self.alloca(INT64, self.most) for _ in range(3))
        # The entries of the table that are read in this step and the next.
        self.entries = self.alloca(INT64, 2 * self.most)
        groups = self.sdiv(self.add(tiles, INT64(TILES - 1)), INT64(TILES))
        with self.loop(groups) as (group, _):
            first = self.mul(group, INT64(TILES))
            left = self.sub(tiles, first)
            is_less = self.icmp_signed("<", left, INT64(TILES))
            self.run_tiles(first, self.select(is_less, left, INT64(TILES)))
        self.ret_void()

    def run_tiles(self, first: ir.Value, tiles: ir.Value) -> None:
        """Emit all steps of the reviews of some tiles, the first of which is the longest."""
        reviews = self.mul(tiles, INT64(self.rows))
        with self.loop(reviews) as (row, _):
            place = self.add(self.mul(first, INT64(self.rows)), row)
            review = self.at(self.order, place, INT64)
            start = self.at(self.offsets, review, INT64)
            end = self.at(self.offsets, self.add(review, INT64(1)), INT64)
            self.put(start, self.starts, row)
            self.put(self.sub(end, self.add(start, INT64(1))), self.lasts, row)
            self.put(self.mul(review, INT64(STATES * self.width)), self.homes, row)
            for outer, inner in self.states_of(row, INT64(0)):
                self.copy(self.outer_states, outer, self.states, inner)
            self.look_up(row, INT64(0))
        steps = self.add(self.at(self.lasts, INT64(0), INT64), INT64(1))
        with self.loop(steps) as (step, _):
            before = self.mul(self.and_(step, INT64(1)), INT64(self.size))
            after = self.sub(INT64(self.size), before)
            with self.loop(reviews) as (row, _):
                self.look_up(row, self.add(step, INT64(1)))
            with self.loop(INT64(self.blocks)) as (block, _):
                with self.loop(tiles) as (tile, _):
                    self.multiply(block, self.mul(tile, INT64(self.rows)), step, before)
                # In loops of their own, which the CPU overlaps: no turn waits for another.
                with self.loop(reviews) as (row, _):
                    self.update_cell(block, row)
                with self.loop(reviews) as (row, _):
                    self.update_hidden(block, row, after)
            with (
                self.loop(reviews) as (row, _),
                self.if_then(self.icmp_signed("==", step, self.at(self.lasts, row, INT64))),
            ):
                for outer, inner in self.states_of(row, after):
                    self.copy(self.states, inner, self.outer_states, outer)

    def states_of(self, row: ir.Value, hidden: ir.Value) -> list[tuple[ir.Value, ir.Value]]:
        """Return where each state of a review is, outside and inside.

        Args:
            row: The review's place in its tiles.
            hidden: Where the hidden states inside begin.
        """
        home, own = self.at(self.homes, row, INT64), self.mul(row, INT64(self.width))
        begins = [hidden, *(INT64(array * self.size) for array in (CELL, PEAK, TOTAL))]
        return [
            (self.add(home, INT64(number * self.width)), self.add(begin, own))
            for number, begin in enumerate(begins)
        ]

    def look_up(self, row: ir.Value, step: ir.Value) -> None:
        """Emit the choice of a review's entry in the table, which is fetched for later."""
        last = self.at(self.lasts, row, INT64)
        # A finished review repeats its last token; its states are already copied.
        position = self.select(self.icmp_signed("<", step, last), step, last)
        if self.backwards:
            position = self.sub(last, position)
        token = self.at(self.ids, self.add(self.at(self.starts, row, INT64), position), INT32)
        entry = self.mul(self.sext(token, INT64), INT64(GATES * self.width))
        self.put(entry, self.entries, self.add(self.half(step), row))
        for number in range(0, GATES * self.width, CACHE_LINE):
            self.fetch(self.gep(self.table, [self.add(entry, INT64(number))], source_etype=FLOAT))

    def half(self, step: ir.Value) -> ir.Value:
        """Return where the entries of a step begin."""
        return self.mul(self.and_(step, INT64(1)), INT64(self.most))

    def multiply(self, block: ir.Value, first: ir.Value, step: ir.Value, before: ir.Value) -> None:
        """Emit the exponentials of the gates of one tile, whose reviews begin at `first`."""
        column = self.mul(block, INT64(GATES * self.lanes))
        begin = self.add(self.half(step), first)
        entries = [
            self.add(self.at(self.entries, self.add(begin, INT64(r)), INT64), column)
            for r in range(self.rows)
        ]
        inputs = [self.read(self.table, e, g) for e in entries for g in range(GATES)]
        hidden = self.add(before, self.mul(first, INT64(self.width)))
        with self.loop(INT64(self.units), inputs) as (unit, sums):
            line = self.add(self.mul(block, INT64(self.units)), unit)
            line = self.mul(line, INT64(GATES * self.lanes))
            weights = [self.read(self.recurrent, line, gate) for gate in range(GATES)]
            for r in range(self.rows):
                own = self.add(self.add(hidden, unit), INT64(r * self.width))
                state = self.splat(self.at(self.states, own, FLOAT))
                for gate in range(GATES):
                    i = r * GATES + gate
                    sums[i] = self.multiply_add(state, weights[gate], sums[i])
        place = self.mul(first, INT64(GATES * self.lanes))
        for i, gate in enumerate(sums):
            self.write(self.power_of_two(gate), self.gates, place, i)

    def update_cell(self, block: ir.Value, row: ir.Value) -> None:
        """Emit the new cell states of `lanes` units of a review.

        Let i, f, o be the exponentials of the negated gates, and c that of -2 times the candidate:
        the sigmoid is 1 / (1 + i), the tanh (1 - c) / (1 + c). Common denominators reduce five
        divisions to two, one here and one for the hidden state.
        """
        one, place = self.constant(1), self.mul(row, INT64(GATES * self.lanes))
        i, f, c = (self.read(self.gates, place, gate) for gate in range(GATES - 1))
        candidate = self.fmul(self.fadd(one, i), self.fadd(one, c))
        forget = self.fadd(one, f)
        place_of_cell = self.place_of(block, row, INT64(CELL * self.size))
        cell = self.read(self.states, place_of_cell)
        numerator = self.multiply_add(cell, candidate, self.fmul(self.fsub(one, c), forget))
        self.write(self.fdiv(numerator, self.fmul(candidate, forget)), self.states, place_of_cell)

    def update_hidden(self, block: ir.Value, row: ir.Value, after: ir.Value) -> None:
        """Emit the new hidden states, peaks and totals of `lanes` units of a review."""
        one, place = self.constant(1), self.mul(row, INT64(GATES * self.lanes))
        o = self.read(self.gates, place, GATES - 1)
        cell, peak, total = (
            self.place_of(block, row, INT64(array * self.size)) for array in (CELL, PEAK, TOTAL)
        )
        scaled = self.fmul(self.read(self.states, cell), self.constant(-2 * LOG2_E))
        e = self.power_of_two(scaled)
        denominator = self.fmul(self.fadd(one, o), self.fadd(one, e))
        hidden = self.fdiv(self.fsub(one, e), denominator)
        self.write(hidden, self.states, self.place_of(block, row, after))
        self.write(self.larger(hidden, self.read(self.states, peak)), self.states, peak)
        self.write(self.fadd(hidden, self.read(self.states, total)), self.states, total)

    def place_of(self, block: ir.Value, row: ir.Value, begin: ir.Value) -> ir.Value:
        """Return where the units of a block are in a review's row of an array."""
        own = self.add(self.mul(row, INT64(self.width)), self.mul(block, INT64(self.lanes)))
        return self.add(begin, own)

    def larger(self, x: ir.Value, y: ir.Value) -> ir.Value:
        """Return the maximum of a hidden state and a peak.

        Neither is ever NaN: exponentials are finite whatever they are taken of, so a hidden state
        is finite, too, and a peak begins at 0.
        """
        # Without the flags, LLVM makes a masked store of it, which takes dozens of cycles.
        flags = ("nnan", "nsz")
        return self.select(self.fcmp_ordered(">", x, y, flags=flags), x, y, flags=flags)

    def power_of_two(self, x: ir.Value) -> ir.Value:
        """Return 2**x, by splitting x into an integer and a fraction in [-0.5, 0.5]."""
        # Beyond these limits a gate is 0 or 1; within them, no product of three overflows. NaN is
        # beyond them, so that no power is.
        for comparison, limit in (("<", 40.0), (">", -120.0)):
            inside = self.fcmp_ordered(comparison, x, self.constant(limit))
            x = self.select(inside, x, self.constant(limit))
        shifted = self.fadd(x, self.constant(ROUND))
        rest = self.fsub(x, self.fsub(shifted, self.constant(ROUND)))
        *coefficients, power = map(self.constant, POWER_OF_TWO.coef.tolist())
        for coefficient in reversed(coefficients):
            power = self.multiply_add(power, rest, coefficient)
        integers = ir.VectorType(INT32, self.lanes)
        exponent = self.shl(self.bitcast(shifted, integers), integers([23] * self.lanes))
        return self.bitcast(self.add(self.bitcast(power, integers), exponent), self.vector)

    def read(self, array: ir.Value, begin: ir.Value, vectors: int = 0) -> ir.Value:
        """Return the vector that is so many vectors behind the number at `begin`."""
        place = self.add(begin, INT64(vectors * self.lanes))
        return self.load(self.gep(array, [place], source_etype=FLOAT), typ=self.vector, align=4)

    def write(self, vector: ir.Value, array: ir.Value, begin: ir.Value, vectors: int = 0) -> None:
        place = self.add(begin, INT64(vectors * self.lanes))
        self.store(vector, self.gep(array, [place], source_etype=FLOAT), align=4)

    def copy(self, source: ir.Value, begin: ir.Value, target: ir.Value, to: ir.Value) -> None:
        for block in range(self.blocks):
            self.write(self.read(source, begin, block), target, to, block)

    def splat(self, value: ir.Value) -> ir.Value:
        undefined = ir.Constant(self.vector, ir.Undefined)
        zeros = ir.Constant(ir.VectorType(INT32, self.lanes), [0] * self.lanes)
        return self.shuffle_vector(
            self.insert_element(undefined, value, INT32(0)), undefined, zeros
        )

    def constant(self, value: float) -> ir.Value:
        return self.vector([float(np.float32(value))] * self.lanes)

    def multiply_add(self, x: ir.Value, y: ir.Value, z: ir.Value) -> ir.Value:
        """Return ``x * y + z``, computed in one operation if the CPU has it."""
        product = self.fmul(x, y, flags=("contract",))
        return self.fadd(product, z, flags=("contract",))
