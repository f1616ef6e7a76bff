"""The register block of the analog product: 4 vectors times 32 columns, sums held in vector registers.

Written as LLVM vectors of 16 floats, which LLVM maps to whatever the processor has (one AVX-512, two
AVX2 or four SSE/NEON registers each), so the same code is portable and fast.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

VECTORS = 4  # input vectors per block
LANES = 16  # floats per LLVM vector
PANEL = 2 * LANES  # columns per block; matrices are padded to a multiple of it

_FLOAT, _WORD = ir.FloatType(), ir.IntType(64)
_VECTOR = ir.VectorType(_FLOAT, LANES)


@intrinsic
def multiply_panel(
    typing_context: Any,
    codes: Any,
    codes_stride: Any,
    matrix: Any,
    matrix_stride: Any,
    depth: Any,
    sums: Any,
    sums_stride: Any,
) -> Any:
    """sums[r, 0:32] = sum over k < depth of codes[r, k] * matrix[k, 0:32] for r < 4.

    Arguments are addresses and strides in bytes, and depth >= 1; the caller keeps the arrays alive.
    """
    signature = types.void(*[types.int64] * 7)

    def generate(context: Any, builder: Any, _signature: Any, values: Any) -> Any:
        codes, codes_stride, matrix, matrix_stride, depth, sums, sums_stride = values
        fma = builder.module.globals.get("llvm.fma.v16f32") or ir.Function(
            builder.module, ir.FunctionType(_VECTOR, [_VECTOR] * 3), "llvm.fma.v16f32"
        )

        def pointer(address: Any, kind: Any) -> Any:
            return builder.inttoptr(address, kind.as_pointer())

        def shifted(address: Any, stride: Any, steps: int) -> Any:
            return builder.add(address, builder.mul(stride, _WORD(steps)))

        entry, loop, done = builder.block, builder.append_basic_block("sum"), builder.append_basic_block("store")
        rows = [shifted(codes, codes_stride, r) for r in range(VECTORS)]
        builder.branch(loop)
        builder.position_at_end(loop)
        k, row = builder.phi(_WORD), builder.phi(_WORD)
        k.add_incoming(_WORD(0), entry)
        row.add_incoming(matrix, entry)
        zero = ir.Constant(_VECTOR, [0.0] * LANES)
        before = [[builder.phi(_VECTOR) for _ in range(2)] for _ in range(VECTORS)]
        weights = [
            builder.load(pointer(builder.add(row, _WORD(4 * LANES * half)), _VECTOR), align=4) for half in range(2)
        ]
        for r in range(VECTORS):
            code = builder.load(pointer(builder.add(rows[r], builder.mul(k, _WORD(4))), _FLOAT), align=4)
            lane = builder.insert_element(ir.Constant(_VECTOR, ir.Undefined), code, ir.IntType(32)(0))
            spread = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
            splat = builder.shuffle_vector(lane, ir.Constant(_VECTOR, ir.Undefined), spread)
            for half in range(2):
                before[r][half].add_incoming(zero, entry)
                after = builder.call(fma, [splat, weights[half], before[r][half]])
                before[r][half].add_incoming(after, loop)
                before[r][half].after = after
        next_k = builder.add(k, _WORD(1))
        k.add_incoming(next_k, loop)
        row.add_incoming(builder.add(row, matrix_stride), loop)
        builder.cbranch(builder.icmp_signed("<", next_k, depth), loop, done)
        builder.position_at_end(done)
        for r in range(VECTORS):
            for half in range(2):
                target = builder.add(shifted(sums, sums_stride, r), _WORD(4 * LANES * half))
                builder.store(before[r][half].after, pointer(target, _VECTOR), align=4)
        return context.get_dummy_value()

    return signature, generate
