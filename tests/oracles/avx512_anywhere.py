"""A plugin of pytest: blocks written for AVX-512 run on any processor.

Their widths and kernels are chosen as if the processor had its instructions, while numba goes on compiling for the one
that is there: LLVM splits wide vectors, and the three instructions that blocks name are written out below.
"""

from __future__ import annotations

from typing import Any

import llvmlite.binding
import numba
from hypothesis import settings
from llvmlite import ir
from numba.core.registry import cpu_target

cpu_target.target_context.codegen()  # numba looks at the processor now, before it is told of another one
FEATURES = {**llvmlite.binding.get_host_cpu_features(), "avx512f": True, "avx512vnni": True, "avx512vbmi": True}
llvmlite.binding.get_host_cpu_features = lambda: FEATURES

from crossbar_sim.reading.compiled.llvm import bit_blocks, blocks  # noqa: E402
from crossbar_sim.reading.compiled.llvm.vector_code import BYTE, BYTES, INTEGER, INTEGERS, VectorCode  # noqa: E402

assert (blocks.WIDE, blocks.BYTE_PRODUCT, bit_blocks.LOOKUP) == (12, True, True)
numba.set_num_threads(1)
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")


def _parts(builder: Any, vector: Any, count: int) -> list[Any]:
    """Every `count`-th number from the first on, from the second on, ..., 16 of each."""
    return [
        builder.shuffle_vector(vector, vector, ir.Constant(INTEGERS, list(range(first, vector.type.count, count))))
        for first in range(count)
    ]


def vpdpbusd(builder: Any, before: Any, unsigned: Any, signed: Any) -> Any:
    """before + the sum of four products of an unsigned and a signed byte."""
    pairs = (_parts(builder, builder.bitcast(one, BYTES), 4) for one in (unsigned, signed))
    for a, b in zip(*pairs, strict=True):
        before = builder.add(before, builder.mul(builder.zext(a, INTEGERS), builder.sext(b, INTEGERS)))
    return before


def vpmaddwd(builder: Any, a: Any, b: Any) -> Any:
    """The sum of two products of 16-bit numbers."""
    first, second = (
        builder.mul(builder.sext(one, INTEGERS), builder.sext(other, INTEGERS))
        for one, other in zip(_parts(builder, a, 2), _parts(builder, b, 2), strict=True)
    )
    return builder.add(first, second)


def vpermb(builder: Any, table: Any, places: Any) -> Any:
    """table[places], of which the lowest six bits count."""
    memory = builder.alloca(BYTES)
    builder.store(table, memory)
    first, found = builder.bitcast(memory, BYTE.as_pointer()), ir.Constant(BYTES, ir.Undefined)
    for lane in range(BYTES.count):
        place = builder.and_(builder.extract_element(places, INTEGER(lane)), BYTE(63))
        value = builder.load(builder.gep(first, [builder.zext(place, INTEGER)]))
        found = builder.insert_element(found, value, INTEGER(lane))
    return found


INSTRUCTIONS = {
    "llvm.x86.avx512.vpdpbusd.512": vpdpbusd,
    "llvm.x86.avx512.pmaddw.d.512": vpmaddwd,
    "llvm.x86.avx512.permvar.qi.512": vpermb,
}
llvm_function = VectorCode.llvm_function


def written_out(self: VectorCode, name: str, result: Any, arguments: list[Any]) -> Any:
    """A function that does what the instruction does."""
    if name not in INSTRUCTIONS:
        return llvm_function(self, name, result, arguments)
    module, own = self.builder.module, f"written_out.{name}"
    if own in module.globals:
        return module.globals[own]
    function = ir.Function(module, ir.FunctionType(result, arguments), own)
    function.linkage = "internal"
    function.attributes.add("noinline")
    builder = ir.IRBuilder(function.append_basic_block())
    builder.ret(INSTRUCTIONS[name](builder, *function.args))
    return function


VectorCode.llvm_function = written_out  # type: ignore[method-assign]
