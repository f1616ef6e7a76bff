"""Register blocks of the analog product: some vectors times 32 columns, summed and converted in vector registers.

Integer sums use the processor's product of bytes (`vpdpbusd`) and exist only where `BYTE_PRODUCT` is true; they equal
the float32 sums of the same whole numbers bit for bit, because both are exact.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import llvmlite.binding
import numpy as np
from numba import types
from numba.extending import intrinsic

from crossbar_sim.reading.compiled.llvm.adc import emit_clipped, emit_code
from crossbar_sim.reading.compiled.llvm.vector_code import (
    BYTES,
    FLOAT,
    FLOATS,
    HALVES,
    INTEGER,
    INTEGERS,
    PANEL,
    SHORTS,
    VECTOR_BYTES,
    WORD,
    VectorCode,
    constant,
    fields_of,
    processor_has,
)

NARROW = 2
"""Vectors per block where few are left."""
WIDE = 12 if processor_has("avx512f") else 4
"""Vectors per block: as many as the registers hold."""
BYTE_PRODUCT = processor_has("avx512f") and processor_has("avx512vnni")
"""Whether the processor multiplies and adds bytes."""
PANEL_BYTES = 4 * PANEL
"""Of a row of a panel: 32 numbers of 32 bits."""
TO_CODE, TO_CURRENT, PEAK, CLIPPED = range(4)
"""Rows of `Columns`."""


class Lines(NamedTuple):
    """Rows of numbers."""

    address: int
    """Of the first row."""
    stride: int
    """Bytes from one row to the next."""


class Panel(NamedTuple):
    """Numbers (depth, 32) of a matrix."""

    address: int
    """Of the first row."""
    stride: int
    """Bytes from one row to the next."""
    depth: int
    """Rows, at least one."""


class WholePanel(NamedTuple):
    """Packed whole levels of 32 columns."""

    address: int
    """Of the first step."""
    steps: int
    """Of 32 columns times 4 bytes each, at least one."""
    start: int
    """Address of the 32 numbers (int32) with which the sums begin."""


class Noise(NamedTuple):
    """What disturbs the sums: sigma times a normal number."""

    sigma: int
    """Address of 16 standard deviations for the first row; 0: no noise."""
    stride: int
    """Bytes from those of one row to those of the next."""
    apart: int
    """Bytes from those of the first 16 columns to those of the last 16."""
    normals: int
    """Address of the normal numbers (2 halves, WIDE, 16)."""


class Columns(NamedTuple):
    """The ADCs of 32 columns."""

    address: int
    """Of 4 x 32 numbers: TO_CODE, TO_CURRENT (what one code adds to the total) and, updated, the PEAK |sum| and the
    count of CLIPPED conversions (int32)."""
    limit: np.float32
    """Largest code; 0: the sums themselves are added."""


class _Accumulation(NamedTuple):
    """How sums are made, turn by turn."""

    start: list[Any]
    """Of the sums of one row."""
    weights: Any
    """Type of the numbers of a panel."""
    product: Callable[[Any, Any, Any], Any]
    """From the address of a row's codes, the weights and the sum before to the sum after."""


def float_sums(code: VectorCode, rows: int, codes: Any, panel: Any) -> Any:
    """sums[r][half] = sum over k of codes[r, k] * panel[k, half]: float32 products one after the other."""

    def product(address: Any, weights: Any, before: Any) -> Any:
        return code.multiply_add(code.broadcast(code.load(address, FLOAT)), weights, before)

    how = _Accumulation([constant(FLOATS, 0.0)] * len(HALVES), FLOATS, product)
    return _accumulate(code, rows, codes, panel.address, panel.stride, panel.depth, how)


def integer_sums(code: VectorCode, rows: int, shorts: bool, codes: Any, panel: Any) -> Any:
    """The same as whole numbers on top of the panel's start: two rows at a time of 16-bit numbers or four of
    bytes."""
    multiply = short_product if shorts else byte_product

    def product(address: Any, weights: Any, before: Any) -> Any:
        return multiply(code, code.broadcast(code.load(address, INTEGER, align=1)), weights, before)

    start = [code.load(code.address(panel.start, WORD(VECTOR_BYTES), half), INTEGERS) for half in HALVES]
    how = _Accumulation(start, INTEGERS, product)
    return _accumulate(code, rows, codes, panel.address, WORD(PANEL_BYTES), panel.steps, how)


def byte_product(code: VectorCode, unsigned: Any, signed: Any, before: Any) -> Any:
    """before + the sum of four products of bytes, in each of 16 lanes."""
    kind = INTEGERS if llvmlite.binding.llvm_version_info[0] < 22 else BYTES  # how LLVM types the same operands
    dot = code.llvm_function("llvm.x86.avx512.vpdpbusd.512", INTEGERS, [INTEGERS, kind, kind])
    return code.builder.call(dot, [before, *(code.builder.bitcast(value, kind) for value in (unsigned, signed))])


def short_product(code: VectorCode, a: Any, b: Any, before: Any) -> Any:
    """before + the sum of two products of 16-bit numbers, in each of 16 lanes: one instruction, `vpdpwssd`."""
    dot = code.llvm_function("llvm.x86.avx512.pmaddw.d.512", INTEGERS, [SHORTS, SHORTS])
    return code.builder.add(before, code.builder.call(dot, [code.builder.bitcast(one, SHORTS) for one in (a, b)]))


def _accumulate(
    code: VectorCode, rows: int, codes: Any, panel: Any, stride: Any, steps: Any, how: _Accumulation
) -> Any:
    """One turn per step: 4 bytes of every vector's codes, one row (two LLVM vectors) of the panel. steps >= 1."""
    builder = code.builder
    lines = [code.address(codes.address, codes.stride, r) for r in range(rows)]

    def turn(k: Any, before: list[Any]) -> list[Any]:
        row, offset = builder.add(panel, builder.mul(k, stride)), builder.mul(k, WORD(4))
        weights = [code.load(builder.add(row, WORD(VECTOR_BYTES * half)), how.weights) for half in HALVES]
        return [how.product(builder.add(lines[i // 2], offset), weights[i % 2], before[i]) for i in range(2 * rows)]

    after = code.counted_loop(steps, how.start * rows, turn)
    return [after[2 * r : 2 * r + 2] for r in range(rows)]


def disturb(code: VectorCode, sums: Any, noise: Any) -> Any:
    """sums + sigma * normal numbers, unless there is no noise."""
    builder = code.builder
    summed = builder.block
    noisy = builder.append_basic_block("noisy")
    ready = builder.append_basic_block("ready")
    builder.cbranch(builder.icmp_signed("!=", noise.sigma, WORD(0)), noisy, ready)
    builder.position_at_end(noisy)
    disturbed: list[list[Any]] = []
    for r, row in enumerate(sums):
        disturbed.append([])
        for half in HALVES:
            sigmas = builder.add(code.address(noise.sigma, noise.stride, r), builder.mul(noise.apart, WORD(half)))
            normals = code.address(noise.normals, WORD(VECTOR_BYTES), half * WIDE + r)
            disturbed[r].append(code.multiply_add(code.load(sigmas, FLOATS), code.load(normals, FLOATS), row[half]))
    builder.branch(ready)
    builder.position_at_end(ready)
    joined = [[builder.phi(FLOATS) for _ in HALVES] for _ in sums]
    for r, row in enumerate(joined):
        for half in HALVES:
            row[half].add_incoming(sums[r][half], summed)
            row[half].add_incoming(disturbed[r][half], noisy)
    return joined


def convert(code: VectorCode, sums: Any, columns: Any, total: Any) -> None:
    """total += ADC(sums): the code, clipped to the limit; without a limit, the sum itcode."""
    builder = code.builder

    def place(row: int, half: int) -> Any:
        return code.address(columns.address, WORD(PANEL_BYTES), row, VECTOR_BYTES * half)

    to_code = [code.load(place(TO_CODE, half), FLOATS) for half in HALVES]
    to_current = [code.load(place(TO_CURRENT, half), FLOATS) for half in HALVES]
    peak = [code.load(place(PEAK, half), FLOATS) for half in HALVES]
    clipped = [code.load(place(CLIPPED, half), INTEGERS) for half in HALVES]
    for row in sums:
        for half in HALVES:
            peak[half] = code.larger(code.apply("fabs", row[half]), peak[half])
    for half in HALVES:
        code.store(peak[half], place(PEAK, half))
    coarse = builder.append_basic_block("coarse")
    exact = builder.append_basic_block("exact")
    end = builder.append_basic_block("converted")
    builder.cbranch(builder.fcmp_ordered(">", columns.limit, FLOAT(0.0)), coarse, exact)

    def add(r: int, half: int, reading: Any) -> None:
        here = code.address(total.address, total.stride, r, VECTOR_BYTES * half)
        code.store(code.multiply_add(reading, to_current[half], code.load(here, FLOATS)), here)

    builder.position_at_end(coarse)
    limit = code.broadcast(columns.limit)
    for r, row in enumerate(sums):
        for half in HALVES:
            codes = emit_code(code, row[half], to_code[half])
            beyond = builder.fcmp_ordered(">", code.apply("fabs", codes), limit)
            clipped[half] = builder.sub(clipped[half], builder.sext(beyond, INTEGERS))
            add(r, half, emit_clipped(code, codes, limit))
    for half in HALVES:
        code.store(clipped[half], place(CLIPPED, half))
    builder.branch(end)
    builder.position_at_end(exact)
    for r, row in enumerate(sums):
        for half in HALVES:
            add(r, half, row[half])
    builder.branch(end)
    builder.position_at_end(end)


def _for_rows(builder: Any, rows: Any, generate: Callable[[int], None]) -> None:
    """The block for WIDE or for NARROW vectors, as `rows` says."""
    with builder.if_else(builder.icmp_signed("==", rows, WORD(WIDE))) as (wide, narrow):
        with wide:
            generate(WIDE)
        with narrow:
            generate(NARROW)


@intrinsic
def _deviate(typing_context: Any, rows: Any, squares: Any, variance: Any, sigma: Any) -> Any:
    """sigma[r, 0:32]^2 = sum over k < depth of squares[r, k] * variance[k, 0:32], float32, for WIDE or NARROW rows r.

    squares: Lines; variance: Panel; sigma: address.
    """

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        lines, panel = fields_of(builder, squares, values[1]), fields_of(builder, variance, values[2])

        def block(rows: int) -> None:
            code = VectorCode(builder)
            for r, row in enumerate(float_sums(code, rows, lines, panel)):
                for half in HALVES:
                    place = code.address(values[3], WORD(PANEL_BYTES), r, VECTOR_BYTES * half)
                    code.store(code.apply("sqrt", row[half]), place)

        _for_rows(builder, values[0], block)
        return context.get_dummy_value()

    return types.void(types.int64, squares, variance, types.int64), generate


@intrinsic
def _read(typing_context: Any, rows: Any, codes: Any, panel: Any, noise: Any, columns: Any, total: Any) -> Any:
    """total[r, 0:32] += ADC(codes[r] @ panel + sigma[r] * normal[r]), float32, for WIDE or NARROW rows r.

    codes, total: Lines; panel: Panel; noise: Noise; columns: Columns.
    """
    given = (codes, panel, noise, columns, total)

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        lines, weights, disturbance, converters, sums = (
            fields_of(builder, kind, value) for kind, value in zip(given, values[1:], strict=True)
        )

        def block(rows: int) -> None:
            code = VectorCode(builder)
            convert(code, disturb(code, float_sums(code, rows, lines, weights), disturbance), converters, sums)

        _for_rows(builder, values[0], block)
        return context.get_dummy_value()

    return types.void(types.int64, *given), generate


@intrinsic
def _read_whole(typing_context: Any, packed: Any, rows: Any, codes: Any, panel: Any, columns: Any, total: Any) -> Any:
    """total[r, 0:32] += ADC(start + codes[r] @ panel) for WIDE or NARROW rows r, in whole numbers, exact below 2^24.

    packed: the array of which panel is a part; its type says whether to multiply 16-bit numbers, panel (steps, 32, 2),
    or bytes, panel (steps, 32, 4), where codes are unsigned. codes, total: Lines; panel: WholePanel; columns: Columns.
    """
    shorts = packed.dtype.bitwidth == 16
    given = (codes, panel, columns, total)

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        lines, levels, converters, readings = (
            fields_of(builder, kind, value) for kind, value in zip(given, values[2:], strict=True)
        )

        def block(rows: int) -> None:
            code = VectorCode(builder)
            sums = integer_sums(code, rows, shorts, lines, levels)
            convert(code, [[builder.sitofp(half, FLOATS) for half in row] for row in sums], converters, readings)

        _for_rows(builder, values[1], block)
        return context.get_dummy_value()

    return types.void(packed, types.int64, *given), generate


deviate: Any = _deviate
read: Any = _read
read_whole: Any = _read_whole
