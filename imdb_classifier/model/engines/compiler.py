"""Functions that LLVM compiles for the CPU they run on."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from llvmlite import binding, ir

FLOAT, DOUBLE, POINTER = ir.FloatType(), ir.DoubleType(), ir.PointerType()
INT32, INT64 = ir.IntType(32), ir.IntType(64)


def array_of(kind: type[np.generic]) -> Any:
    """Return the type of an argument that is a contiguous array of numbers."""
    return np.ctypeslib.ndpointer(kind, flags="C_CONTIGUOUS")


def compiled(function: ir.Function, kinds: Sequence[Any]) -> Callable[..., None]:
    """Return a function that was built, compiled. It releases the GIL while it runs.

    Args:
        function: The only function that its module defines; it returns nothing.
        kinds: The types of its arguments, for ctypes.
    """
    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    module = binding.parse_assembly(str(function.module))
    machine = binding.Target.from_default_triple().create_target_machine(
        binding.get_host_cpu_name(), binding.get_host_cpu_features().flatten(), opt=3
    )
    options = binding.create_pipeline_tuning_options(3)
    # Unrolled loops take longer to compile, and run no faster.
    options.loop_unrolling = False
    passes = binding.create_pass_builder(machine, options)
    passes.getModulePassManager().run(module, passes)
    library = binding.create_mcjit_compiler(module, machine)
    library.finalize_object()
    run: Any = ctypes.CFUNCTYPE(None, *kinds)(library.get_function_address(function.name))
    run.library = library  # keeps the compiled code in memory
    return run  # type: ignore[no-any-return]


class FunctionBuilder(ir.IRBuilder):  # type: ignore[misc]
    """Builds a function that returns nothing, in an LLVM module of its own.

    Args:
        name: Its name.
        kinds: The types of its arguments; arrays do not overlap.
    """

    def __init__(self, name: str, kinds: Sequence[ir.Type]) -> None:
        function = ir.Function(ir.Module(), ir.FunctionType(ir.VoidType(), kinds), name)
        self.arguments = function.args
        for argument in self.arguments:
            if argument.type == POINTER:
                argument.add_attribute("noalias")
        super().__init__(function.append_basic_block())

    def at(self, array: ir.Value, position: ir.Value, kind: ir.Type) -> ir.Value:
        """Emit the reading of an array's element."""
        return self.load(self.gep(array, [position], source_etype=kind), typ=kind)

    def put(self, value: ir.Value, array: ir.Value, position: ir.Value) -> None:
        """Emit the writing of an array's element."""
        self.store(value, self.gep(array, [position], source_etype=value.type))

    def fetch(self, address: ir.Value) -> None:
        """Emit the hint that an address is read soon, so that the CPU fetches its cache line."""
        kinds = ir.FunctionType(ir.VoidType(), [POINTER, INT32, INT32, INT32])
        name = "llvm.prefetch.p0"
        prefetch = self.module.globals.get(name) or ir.Function(self.module, kinds, name)
        for_reading, into_every_cache, as_data = INT32(0), INT32(3), INT32(1)
        self.call(prefetch, [address, for_reading, into_every_cache, as_data])

    @contextmanager
    def loop(
        self, count: ir.Value, carried: Sequence[ir.Value] = ()
    ) -> Iterator[tuple[ir.Value, list[ir.Value]]]:
        """Emit a loop that runs at least once; the list carries values to the next iteration."""
        before, body, after = self.block, self.append_basic_block(), self.append_basic_block()
        self.branch(body)
        self.position_at_end(body)
        turn, *phis = [self.phi(value.type) for value in (INT64(0), *carried)]
        values = list(phis)
        yield turn, values
        following = self.add(turn, INT64(1))
        for phi, first, then in zip(
            (turn, *phis), (INT64(0), *carried), (following, *values), strict=True
        ):
            phi.add_incoming(first, before)
            phi.add_incoming(then, self.block)
        self.cbranch(self.icmp_signed("<", following, count), body, after)
        self.position_at_end(after)
