"""Read noise in vector registers: the numbers of `counter_random.normal_pair`, 16 pairs of some vectors at a time."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from crossbar_sim.reading.compiled.llvm.blocks import WIDE
from crossbar_sim.reading.compiled.llvm.vector_code import FLOAT, INTEGER, LANES, WORD, VectorCode, constant
from crossbar_sim.runtime.counter_random import LOGARITHM, SINE, threefry_words

ROWS_AT_ONCE = 2
"""So that one row's steps fill the others' waits."""
COUNT = ROWS_AT_ONCE * LANES
NUMBERS, WORDS = ir.VectorType(FLOAT, COUNT), ir.VectorType(INTEGER, COUNT)
Pair = tuple[Any, Any]


def _polynomial(code: VectorCode, x: Any, coefficients: tuple[float, ...]) -> Any:
    value = constant(NUMBERS, coefficients[0])
    for coefficient in coefficients[1:]:
        value = code.multiply_add(value, x, constant(NUMBERS, coefficient))
    return value


def _logarithm(code: VectorCode, u: Any) -> Any:
    builder = code.builder
    bits = builder.bitcast(u, WORDS)
    exponent = builder.sitofp(builder.sub(builder.ashr(bits, constant(WORDS, 23)), constant(WORDS, 126)), NUMBERS)
    fraction = builder.or_(builder.and_(bits, constant(WORDS, 0x7FFFFF)), constant(WORDS, 0x3F000000))
    m = builder.bitcast(fraction, NUMBERS)
    low = builder.fcmp_ordered("<", m, constant(NUMBERS, 0.70710678))
    m = builder.select(low, builder.fadd(m, m), m)
    exponent = builder.fsub(exponent, builder.select(low, constant(NUMBERS, 1.0), constant(NUMBERS, 0.0)))
    z = builder.fsub(m, constant(NUMBERS, 1.0))
    bend = code.multiply_add(_polynomial(code, z, LOGARITHM), z, constant(NUMBERS, -0.5))
    near = code.multiply_add(builder.fmul(bend, z), z, z)
    return code.multiply_add(exponent, constant(NUMBERS, 0.69314718056), near)


def _sine(code: VectorCode, f: Any) -> Any:
    """sin(pi f) for |f| <= 1/2."""
    return code.builder.fmul(f, _polynomial(code, code.builder.fmul(f, f), SINE))


def _normal_pairs(code: VectorCode, words: Pair) -> Pair:
    """Box-Muller: two normal numbers of two random words, in every lane."""
    builder, half = code.builder, constant(NUMBERS, 0.5)
    uniform = builder.uitofp(builder.lshr(words[0], constant(WORDS, 8)), NUMBERS)
    uniform = builder.fmul(builder.fadd(uniform, half), constant(NUMBERS, 2.0**-24))
    radius = code.apply("sqrt", builder.fmul(constant(NUMBERS, -2.0), _logarithm(code, uniform)))
    angle = builder.fmul(builder.sitofp(words[1], NUMBERS), constant(NUMBERS, 2.0**-31))  # in units of pi
    size = code.apply("fabs", angle)
    sine = _sine(code, builder.fsub(half, code.apply("fabs", builder.fsub(size, half))))
    copysign = code.llvm_function(f"llvm.copysign.v{COUNT}f32", NUMBERS, [NUMBERS] * 2)
    cosine = _sine(code, builder.fsub(half, size))
    return builder.fmul(radius, cosine), builder.fmul(radius, builder.call(copysign, [sine, angle]))


@intrinsic
def _draw(typing_context: Any, rows: Any, first_read: Any, first_pair: Any, k0: Any, k1: Any, normals: Any) -> Any:
    """normals (2 halves, WIDE, 16) = the pairs of counters (first_read + row, first_pair + lane); rows even."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        code = VectorCode(builder)
        rows, first_read, first_pair, k0, k1, normals = values
        key = (code.broadcast(k0, COUNT), code.broadcast(k1, COUNT))
        row_of = ir.Constant(WORDS, [i // LANES for i in range(COUNT)])
        pairs = builder.add(code.broadcast(first_pair, COUNT), ir.Constant(WORDS, [i % LANES for i in range(COUNT)]))

        def some_rows(turn: Any, nothing: list[Any]) -> list[Any]:
            row = builder.mul(turn, WORD(ROWS_AT_ONCE))
            reads = builder.add(code.broadcast(builder.add(first_read, builder.trunc(row, INTEGER)), COUNT), row_of)
            for half, numbers in enumerate(_normal_pairs(code, threefry_words(builder, (reads, pairs), key))):
                place = builder.add(row, WORD(half * WIDE))
                code.store(numbers, builder.add(normals, builder.mul(place, WORD(4 * LANES))))
            return []

        code.counted_loop(builder.udiv(rows, WORD(ROWS_AT_ONCE)), [], some_rows)
        return context.get_dummy_value()

    return types.void(types.int64, *[types.uint32] * 4, types.int64), generate


draw: Any = _draw
