"""VectorCode: a block of vector instructions under construction.

Written as LLVM vectors of 16 numbers, which LLVM maps to whatever the processor has (one AVX-512, two AVX2 or four
SSE/NEON registers each), so the same code is portable and fast.
"""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import llvmlite.binding
import numpy as np
from llvmlite import ir
from numba import config

from crossbar_sim.runtime.compiling import part

LANES = 16
"""Numbers per LLVM vector."""
PANEL = 2 * LANES
"""Columns per block; matrices are padded to a multiple of it."""
HALVES = (0, 1)
"""A block's columns, or a bit block's vectors, lie in two LLVM vectors."""
VECTOR_BYTES = 4 * LANES
"""Of an LLVM vector of 32-bit numbers."""

FLAG = ir.IntType(1)
BYTE = ir.IntType(8)
SHORT = ir.IntType(16)
INTEGER = ir.IntType(32)
WORD = ir.IntType(64)
FLOAT = ir.FloatType()
FLOATS = ir.VectorType(FLOAT, LANES)
INTEGERS = ir.VectorType(INTEGER, LANES)
SHORTS = ir.VectorType(SHORT, 2 * LANES)
BYTES = ir.VectorType(BYTE, 4 * LANES)


def processor_has(feature: str) -> bool:
    """Whether compiled code may use `feature` (LLVM's name, such as 'avx512f'); obeys numba's NUMBA_CPU_FEATURES."""
    name, features = config.CPU_NAME, config.CPU_FEATURES  # type: ignore[attr-defined]
    if name or features:
        return f"+{feature}" in (features or "").split(",")
    return bool(llvmlite.binding.get_host_cpu_features().get(feature, False))


@part
def address_of(array):
    """Where an array's first number is; a signed number, since sums of the two kinds would be floats."""
    return np.int64(array.ctypes.data)


def fields_of(builder: Any, kind: Any, value: Any) -> SimpleNamespace:
    """The values of a named tuple of numba type `kind`, by their names."""
    return SimpleNamespace(**{name: builder.extract_value(value, i) for i, name in enumerate(kind.fields)})


def constant(kind: Any, number: float) -> Any:
    """A constant in every lane."""
    return ir.Constant(kind, [number] * kind.count)


class VectorCode:
    """An LLVM builder and the few shapes of instruction that blocks need."""

    def __init__(self, builder: Any) -> None:
        self.builder = builder

    def llvm_function(self, name: str, result: Any, arguments: list[Any]) -> Any:
        """An LLVM intrinsic by name."""
        module = self.builder.module
        return module.globals.get(name) or ir.Function(module, ir.FunctionType(result, arguments), name)

    def address(self, address: Any, stride: Any, row: int, offset: int = 0) -> Any:
        """address + row * stride + offset, in bytes."""
        there = self.builder.add(address, self.builder.mul(stride, WORD(row)))
        return self.builder.add(there, WORD(offset))

    def load(self, address: Any, kind: Any, align: int = 4) -> Any:
        """A number or vector of type `kind` at an address."""
        return self.builder.load(self.builder.inttoptr(address, kind.as_pointer()), align=align)

    def store(self, value: Any, address: Any) -> None:
        """Put a number or vector there."""
        self.builder.store(value, self.builder.inttoptr(address, value.type.as_pointer()), align=4)

    def broadcast(self, number: Any, lanes: int = LANES) -> Any:
        """A number in every lane."""
        nothing = ir.Constant(ir.VectorType(number.type, lanes), ir.Undefined)
        lane = self.builder.insert_element(nothing, number, INTEGER(0))
        return self.builder.shuffle_vector(lane, nothing, ir.Constant(ir.VectorType(INTEGER, lanes), [0] * lanes))

    def multiply_add(self, a: Any, b: Any, c: Any) -> Any:
        """a b + c, rounded once."""
        return self.builder.call(self.llvm_function(f"llvm.fma.v{a.type.count}f32", a.type, [a.type] * 3), [a, b, c])

    def apply(self, name: str, value: Any) -> Any:
        """One of LLVM's functions of one float32 number, or of each of a vector of them."""
        kind = value.type
        lanes = f"v{kind.count}" if isinstance(kind, ir.VectorType) else ""
        return self.builder.call(self.llvm_function(f"llvm.{name}.{lanes}f32", kind, [kind]), [value])

    def smaller(self, a: Any, b: Any) -> Any:
        """a where a < b, else b (also where either is NaN)."""
        return self.builder.select(self.builder.fcmp_ordered("<", a, b), a, b)

    def larger(self, a: Any, b: Any) -> Any:
        """a where a > b, else b (also where either is NaN)."""
        return self.builder.select(self.builder.fcmp_ordered(">", a, b), a, b)

    def counted_loop(self, count: Any, start: list[Any], body: Callable[[Any, list[Any]], list[Any]]) -> list[Any]:
        """`body(i, values)` for i = 0 ... count - 1 (at least once), from the values `start` on; the last values."""
        builder = self.builder
        entry = builder.block
        loop = builder.append_basic_block("loop")
        done = builder.append_basic_block("looped")
        builder.branch(loop)
        builder.position_at_end(loop)
        i, values = builder.phi(WORD), [builder.phi(value.type) for value in start]
        after = body(i, values)
        following = builder.add(i, WORD(1))
        i.add_incoming(WORD(0), entry)
        i.add_incoming(following, builder.block)
        for value, first, last in zip(values, start, after, strict=True):
            value.add_incoming(first, entry)
            value.add_incoming(last, builder.block)
        builder.cbranch(builder.icmp_signed("<", following, count), loop, done)
        builder.position_at_end(done)
        return after
