"""The recurrence of an LSTM, compiled by LLVM for the CPU it runs on.

A step of an LSTM is one product of the state with the recurrent weights, then a few dozen
operations on each unit (Hochreiter and Schmidhuber, 1997; the forget gate of Gers et al., 2000).
Here the product never leaves the registers: a tile of `rows` reviews by `lanes` units keeps its
four gates in vector registers, accumulates ``state @ recurrent`` in them, and computes the new
state from them directly. A token's contribution to the gates is looked up by its id, so there is
no input product. Reviews are not padded, and each is computed by the same operations in the same
order in any batch, so its result has the same bits.
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

GATES: Final = 4
STATES: Final = 4
"""Hidden state, cell state, peak and total."""
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
    """Return the function ``lstm(table, recurrent, ids, offsets, order, states, tiles)``.

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
    - tiles: the number of tiles.
    """
    builder = _Builder(units, lanes, rows, backwards)
    floats, longs = array_of(np.float32), array_of(np.int64)
    kinds = (floats, floats, array_of(np.int32), longs, longs, floats, ctypes.c_int64)
    return compiled(builder.function, kinds)


class _Builder(FunctionBuilder):
    """Builds the function ``lstm`` in an LLVM module of its own."""

    def __init__(self, units: int, lanes: int, rows: int, backwards: bool) -> None:
        self.units, self.lanes, self.rows, self.backwards = units, lanes, rows, backwards
        self.width = -(-units // lanes) * lanes
        self.vector = ir.VectorType(FLOAT, lanes)
        super().__init__("lstm", [POINTER] * 6 + [INT64])
        self.table, self.recurrent, self.ids, self.offsets = self.arguments[:4]
        self.order, self.outer_states, tiles = self.arguments[4:]
        # The states of one tile: hidden states before and after a step, and the other three.
        vectors = rows * self.width // lanes
        self.hidden = self.alloca(self.vector, 2 * vectors)
        self.cell, self.peak, self.total = (self.alloca(self.vector, vectors) for _ in range(3))
        with self.loop(tiles) as (tile, _):
            self.run_tile(self.mul(tile, INT64(rows)))
        self.ret_void()

    def run_tile(self, first: ir.Value) -> None:
        """Emit all steps of the reviews ``order[first:first + rows]``, the longest one first."""
        reviews = [self.read(self.order, first, r, INT64) for r in range(self.rows)]
        starts = [self.read(self.offsets, review, 0, INT64) for review in reviews]
        lasts = [
            self.sub(self.read(self.offsets, review, 1, INT64), self.add(start, INT64(1)))
            for review, start in zip(reviews, starts, strict=True)
        ]
        homes = [self.mul(review, INT64(STATES * self.width)) for review in reviews]
        for r, home in enumerate(homes):
            for offset, state in enumerate(self.states_of_tile(INT64(0), r)):
                self.copy(self.outer_states, self.add(home, INT64(offset * self.width)), *state)
        with self.loop(self.add(lasts[0], INT64(1))) as (step, _):
            inputs = []
            for start, last in zip(starts, lasts, strict=True):
                # A finished review repeats its last token; its states are already copied.
                position = self.select(self.icmp_signed("<", step, last), step, last)
                if self.backwards:
                    position = self.sub(last, position)
                entry = self.sext(self.read(self.ids, self.add(start, position), 0, INT32), INT64)
                inputs.append(self.mul(entry, INT64(GATES * self.width)))
            before = self.mul(self.and_(step, INT64(1)), INT64(self.rows * self.width))
            after = self.sub(INT64(self.rows * self.width), before)
            with self.loop(INT64(self.width // self.lanes)) as (block, _):
                self.step_block(block, inputs, before, after)
            for r, (home, last) in enumerate(zip(homes, lasts, strict=True)):
                with self.if_then(self.icmp_signed("==", step, last)):
                    for offset, state in enumerate(self.states_of_tile(after, r)):
                        target = self.add(home, INT64(offset * self.width))
                        self.copy(*state, self.outer_states, target)

    def states_of_tile(self, hidden: ir.Value, row: int) -> list[tuple[ir.Value, ir.Value]]:
        """Return array and position of a row's hidden (past `hidden`), cell, peak and total."""
        begin = INT64(row * self.width)
        others = [(array, begin) for array in (self.cell, self.peak, self.total)]
        return [(self.hidden, self.add(hidden, begin)), *others]

    def step_block(
        self, block: ir.Value, inputs: list[ir.Value], before: ir.Value, after: ir.Value
    ) -> None:
        """Emit one step of `lanes` units of every review in a tile."""
        column = self.mul(block, INT64(GATES * self.lanes))
        gates = [
            self.read(self.table, self.add(entry, column), gate * self.lanes, self.vector)
            for entry in inputs
            for gate in range(GATES)
        ]
        with self.loop(INT64(self.units), gates) as (unit, sums):
            line = self.add(self.mul(block, INT64(self.units)), unit)
            line = self.mul(line, INT64(GATES * self.lanes))
            weights = [
                self.read(self.recurrent, line, gate * self.lanes, self.vector)
                for gate in range(GATES)
            ]
            for r in range(self.rows):
                state = self.read(self.hidden, self.add(before, unit), r * self.width, FLOAT)
                for gate in range(GATES):
                    i = r * GATES + gate
                    sums[i] = self.multiply_add(self.splat(state), weights[gate], sums[i])
        for r in range(self.rows):
            unit = self.add(self.mul(block, INT64(self.lanes)), INT64(r * self.width))
            old = self.read(self.cell, unit, 0, self.vector)
            cell, hidden = self.activate(old, *sums[r * GATES : (r + 1) * GATES])
            self.write(cell, self.cell, unit)
            self.write(hidden, self.hidden, self.add(after, unit))
            peak, total = (self.read(a, unit, 0, self.vector) for a in (self.peak, self.total))
            higher = self.fcmp_ordered(">", hidden, peak)
            self.write(self.select(higher, hidden, peak), self.peak, unit)
            self.write(self.fadd(total, hidden), self.total, unit)

    def activate(self, cell: ir.Value, *gates: ir.Value) -> tuple[ir.Value, ir.Value]:
        """Return the new cell and hidden states of `lanes` units.

        Let i, f, o be the exponentials of the negated gates, and c that of -2 times the candidate:
        the sigmoid is 1 / (1 + i), the tanh (1 - c) / (1 + c). Common denominators reduce five
        divisions to two.
        """
        one = self.constant(1)
        i, f, c, o = (self.power_of_two(gate) for gate in gates)
        candidate = self.fmul(self.fadd(one, i), self.fadd(one, c))
        forget = self.fadd(one, f)
        numerator = self.multiply_add(cell, candidate, self.fmul(self.fsub(one, c), forget))
        cell = self.fdiv(numerator, self.fmul(candidate, forget))
        e = self.power_of_two(self.fmul(cell, self.constant(-2 * LOG2_E)))
        denominator = self.fmul(self.fadd(one, o), self.fadd(one, e))
        return cell, self.fdiv(self.fsub(one, e), denominator)

    def power_of_two(self, x: ir.Value) -> ir.Value:
        """Return 2**x, by splitting x into an integer and a fraction in [-0.5, 0.5]."""
        # Beyond these limits a gate is 0 or 1; within them, no product of three overflows.
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

    def read(self, array: ir.Value, position: ir.Value, further: int, kind: ir.Type) -> ir.Value:
        unit = FLOAT if kind == self.vector else kind
        start = self.gep(array, [self.add(position, INT64(further))], source_etype=unit)
        return self.load(start, typ=kind, align=4 if kind == self.vector else None)

    def write(self, vector: ir.Value, array: ir.Value, position: ir.Value) -> None:
        self.store(vector, self.gep(array, [position], source_etype=FLOAT), align=4)

    def copy(self, source: ir.Value, begin: ir.Value, target: ir.Value, to: ir.Value) -> None:
        for lane in range(0, self.width, self.lanes):
            state = self.read(source, begin, lane, self.vector)
            self.write(state, target, self.add(to, INT64(lane)))

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
