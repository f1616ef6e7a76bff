"""Register blocks of bit-serial reads: a few columns times the bits of 32 vectors, summed and converted in registers.

Two blocks give the same whole numbers. `read_packed` multiplies float32 numbers that hold two bits each, on any
processor. `read_looked_up` multiplies nothing: the sum over the cells of six word lines takes only 64 values, which a
processor with a permutation of 64 bytes (`vpermb`) looks up for 64 bits at once; it exists only where `LOOKUP` is true.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from crossbar_sim.reading.compiled.llvm.adc import emit_clipped, emit_code
from crossbar_sim.reading.compiled.llvm.blocks import float_sums
from crossbar_sim.reading.compiled.llvm.vector_code import (
    BYTE,
    BYTES,
    FLAG,
    FLOAT,
    FLOATS,
    HALVES,
    INTEGER,
    INTEGERS,
    LANES,
    SHORT,
    SHORTS,
    VECTOR_BYTES,
    WORD,
    VectorCode,
    constant,
    fields_of,
    processor_has,
)

COLUMNS = 4
"""Columns per block."""
VECTORS = 2 * LANES
"""Vectors per block."""
LINES = 6
"""Word lines per table of 64 sums."""
LOOKED_UP_BITS = 4
"""Bits of each vector per block of `read_looked_up`."""
PACKED_BITS = 2
"""Bits of each vector per block of `read_packed`."""
PACKING = 4096
"""A packed number is its lower bit plus this times its upper bit."""
LARGEST_SUM = PACKING // 2 - 1
"""Of which two can be told apart when packed."""
LARGEST_LEVEL = 127 // LINES
"""Of a cell whose sums a signed byte holds."""
LOOKUP = processor_has("avx512vbmi")
"""Whether the processor has a permutation of 64 bytes."""
TABLE_BYTES = COLUMNS * 64
"""Of the tables of one group of word lines."""
COLUMN_BYTES = 192
"""Of one column's settings, see `BitColumns`."""
FACTOR_AT = 0
SAME_AT = 4
UNCLIPPED_AT = 6
PEAK_AT = 64
CLIPPED_AT = 128
"""Where they are among these bytes."""


class BitColumns(NamedTuple):
    """The ADCs of four columns."""

    address: int
    """Of COLUMN_BYTES of each: its factor from sums to codes (float32), up to which sum the code is the sum itself and
    up to which none is clipped (int16) and, updated, the largest |sum| and the count of clipped conversions (32 int16
    each)."""
    limit: np.float32
    """Largest code."""


class BitTotal(NamedTuple):
    """Where the codes of four columns are added up."""

    address: int
    """Of 32 numbers (float32) of the first column."""
    stride: int
    """Bytes from one column to the next."""
    weight: np.float32
    """What a code of the lowest bit counts for."""


class Tables(NamedTuple):
    """Sums that are looked up."""

    drives: int
    """Address of the places to look up, bytes (groups, 2 pairs of bits, 32 vectors, 2 bits)."""
    tables: int
    """Address of the tables, bytes (groups, 4 columns, 64)."""
    groups: int
    """Of six word lines."""
    at_once: int
    """Groups that never sum above 255."""
    offset: int
    """By how much the sums over all groups are too large."""


class PackedBits(NamedTuple):
    """Sums that are multiplied."""

    address: int
    """Of the levels of four columns, float32."""
    stride: int
    """Bytes from the levels of one column to those of the next."""
    drives: int
    """Address of (depth, 32 vectors) float32: lower bit + PACKING * upper bit."""
    depth: int
    """Word lines, at least one."""


class _LineDrives(NamedTuple):
    """`drives` of PackedBits as `blocks.Panel`."""

    address: Any
    stride: Any
    depth: Any


def _convert_bits(code: VectorCode, sums: list[list[Any]], columns: Any, total: Any) -> None:
    """total[c, 0:32] += weight * sum over bits b of 2^b ADC(sums[c][b]), exact below 2^24."""
    sizes = [_note_sizes(code, c, bits, columns) for c, bits in enumerate(sums)]
    builder, weights = code.builder, code.broadcast(total.weight)
    beyond = constant(ir.VectorType(FLAG, VECTORS), 0)
    for c, (_, largest) in enumerate(sizes):
        same = code.broadcast(code.load(_of_column(code, columns, c, SAME_AT), SHORT), VECTORS)
        beyond = builder.or_(beyond, builder.icmp_signed(">", largest, same))
    rounded, whole, end = (builder.append_basic_block(name) for name in ("rounded", "whole", "converted"))
    some = builder.bitcast(beyond, INTEGER)  # a bit of each vector
    builder.cbranch(builder.icmp_unsigned("!=", some, INTEGER(0)), rounded, whole)

    def add(c: int, half: int, codes: Any) -> None:
        place = code.address(total.address, total.stride, c, VECTOR_BYTES * half)
        code.store(code.multiply_add(codes, weights, code.load(place, FLOATS)), place)

    builder.position_at_end(whole)
    for c, bits in enumerate(sums):
        all_bits = bits[-1]
        for one in reversed(bits[:-1]):
            all_bits = builder.add(builder.add(all_bits, all_bits), one)
        for half in HALVES:
            add(c, half, _numbers(builder, all_bits, half))
    builder.branch(end)

    builder.position_at_end(rounded)
    limit, two = code.broadcast(columns.limit), constant(FLOATS, 2.0)
    for c, bits in enumerate(sums):
        to_code = code.broadcast(code.load(_of_column(code, columns, c, FACTOR_AT), FLOAT))
        _count_clipped(code, c, sizes[c][0], columns)
        for half in HALVES:
            readings = [
                emit_clipped(code, emit_code(code, _numbers(builder, one, half), to_code), limit) for one in bits
            ]
            all_readings = readings[-1]
            for one in reversed(readings[:-1]):
                all_readings = code.multiply_add(all_readings, two, one)
            add(c, half, all_readings)
    builder.branch(end)
    builder.position_at_end(end)


def _of_column(code: VectorCode, columns: Any, c: int, offset: int) -> Any:
    """Address of one of a column's settings."""
    return code.address(columns.address, WORD(COLUMN_BYTES), c, offset)


def _note_sizes(code: VectorCode, c: int, bits: list[Any], columns: Any) -> tuple[list[Any], Any]:
    """|sums| of each bit, and the largest of each vector, which is noted for the column."""
    builder = code.builder
    size = code.llvm_function("llvm.abs.v32i16", SHORTS, [SHORTS, FLAG])
    sizes = [builder.call(size, [one, FLAG(0)]) for one in bits]
    largest = sizes[0]
    for other in sizes[1:]:
        largest = builder.select(builder.icmp_signed(">", other, largest), other, largest)
    place = _of_column(code, columns, c, PEAK_AT)
    peak = code.load(place, SHORTS)
    code.store(builder.select(builder.icmp_signed(">", largest, peak), largest, peak), place)
    return sizes, largest


def _count_clipped(code: VectorCode, c: int, sizes: list[Any], columns: Any) -> None:
    builder = code.builder
    unclipped = code.broadcast(code.load(_of_column(code, columns, c, UNCLIPPED_AT), SHORT), VECTORS)
    place = _of_column(code, columns, c, CLIPPED_AT)
    count = code.load(place, SHORTS)
    for one in sizes:
        count = builder.sub(count, builder.sext(builder.icmp_signed(">", one, unclipped), SHORTS))
    code.store(count, place)


def _numbers(builder: Any, shorts: Any, half: int) -> Any:
    """Half of 32 whole numbers (int16) as float32."""
    places = ir.Constant(INTEGERS, list(range(LANES * half, LANES * (half + 1))))
    return builder.sitofp(builder.sext(builder.shuffle_vector(shorts, shorts, places), INTEGERS), FLOATS)


@intrinsic
def _tabulate(typing_context: Any, levels: Any, groups: Any, offset: Any, tables: Any) -> Any:
    """tables[g, c, s] = offset + sum over the bits i of s of levels[g, c, i], bytes; levels (groups + 1, 4, 6).

    First all sums over three lines, 8 for each half of each column, then every one of the lower with every one of the
    upper half.
    """

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        code = VectorCode(builder)
        levels, groups, offset, tables = values
        line = ir.VectorType(BYTE, 32)
        lower = ir.Constant(ir.VectorType(FLAG, 64), [place // 8 % 2 == 0 for place in range(64)])
        start = builder.select(lower, code.broadcast(builder.trunc(offset, BYTE), 64), constant(BYTES, 0))

        def shuffled(values: Any, other: Any, order: list[int]) -> Any:
            return builder.shuffle_vector(values, other, ir.Constant(ir.VectorType(INTEGER, 64), order))

        def table(g: Any, nothing: Any) -> list[Any]:
            cells = code.load(builder.add(levels, builder.mul(g, WORD(COLUMNS * LINES))), line, align=1)
            threes = start
            for i in range(3):
                order = [place // 8 * 3 + i if place >> i & 1 else 32 for place in range(64)]
                threes = builder.add(threes, shuffled(cells, constant(line, 0), order))
            for c in range(COLUMNS):
                low, high = ([16 * c + 8 * half + (s >> 3 * half) % 8 for s in range(64)] for half in range(2))
                sums = builder.add(shuffled(threes, threes, low), shuffled(threes, threes, high))
                code.store(sums, builder.add(tables, builder.add(builder.mul(g, WORD(TABLE_BYTES)), WORD(64 * c))))
            return []

        code.counted_loop(groups, [], table)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 4), generate


@intrinsic
def _add_up(typing_context: Any, codes: Any, factor: Any, blocks: Any, total: Any) -> Any:
    """total[i] += codes[i] * factor for 32 * blocks numbers (float32); codes back to zero."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        code = VectorCode(builder)
        codes, factor, blocks, total = values
        factors = code.broadcast(factor)

        def block(i: Any, nothing: Any) -> list[Any]:
            for half in range(2):
                offset = builder.add(builder.mul(i, WORD(4 * VECTORS)), WORD(VECTOR_BYTES * half))
                here, there = builder.add(codes, offset), builder.add(total, offset)
                code.store(code.multiply_add(code.load(here, FLOATS), factors, code.load(there, FLOATS)), there)
                code.store(constant(FLOATS, 0.0), here)
            return []

        code.counted_loop(blocks, [], block)
        return context.get_dummy_value()

    return types.void(types.int64, types.float32, types.int64, types.int64), generate


@intrinsic
def _read_looked_up(typing_context: Any, looked_up: Any, columns: Any, total: Any) -> Any:
    """total[c, v] += weight * sum over 4 bits b of 2^b ADC(sum over groups g of
    tables[g, c, drives[g, b, v]] - offset).

    looked_up: Tables; columns: BitColumns; total: BitTotal.
    """

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        code = VectorCode(builder)
        given = fields_of(builder, looked_up, values[0])
        sums = _sums_looked_up(code, given)
        blocks = len(sums) // 2
        offsets = code.broadcast(builder.trunc(given.offset, SHORT), VECTORS)
        bits: list[list[Any]] = [[] for _ in range(COLUMNS)]
        for place, (both, odd) in enumerate(zip(sums[:blocks], sums[blocks:], strict=True)):
            even = builder.sub(both, builder.shl(odd, constant(SHORTS, 8)))
            bits[place // 2] += [builder.sub(even, offsets), builder.sub(odd, offsets)]
        _convert_bits(code, bits, fields_of(builder, columns, values[1]), fields_of(builder, total, values[2]))
        return context.get_dummy_value()

    return types.void(looked_up, columns, total), generate


def _sums_looked_up(code: VectorCode, given: Any) -> list[Any]:
    """32 sums of 16 bits each: of every column and pair of bits, first the sums of both bits, the upper one times 256,
    then those of the upper bit alone."""
    builder = code.builder
    permute = code.llvm_function("llvm.x86.avx512.permvar.qi.512", BYTES, [BYTES, BYTES])
    blocks = [(c, pair) for c in range(COLUMNS) for pair in range(2)]
    rounds = builder.sdiv(builder.sub(builder.add(given.groups, given.at_once), WORD(1)), given.at_once)

    def some_groups(turn: Any, sums: list[Any]) -> list[Any]:
        first = builder.mul(turn, given.at_once)
        left = builder.sub(given.groups, first)
        count = builder.select(builder.icmp_signed("<", left, given.at_once), left, given.at_once)

        def group(i: Any, byte_sums: list[Any]) -> list[Any]:
            g = builder.add(first, i)
            drives = builder.add(given.drives, builder.mul(g, WORD(128)))
            tables = builder.add(given.tables, builder.mul(g, WORD(TABLE_BYTES)))
            driven = [code.load(builder.add(drives, WORD(64 * pair)), BYTES) for pair in range(2)]
            columns_of = [code.load(builder.add(tables, WORD(64 * c)), BYTES) for c in range(COLUMNS)]
            return [
                builder.add(before, builder.call(permute, [columns_of[c], driven[pair]]))
                for (c, pair), before in zip(blocks, byte_sums, strict=True)
            ]

        looked_up = code.counted_loop(count, [constant(BYTES, 0)] * len(blocks), group)
        both, odd = sums[: len(blocks)], sums[len(blocks) :]
        words = [builder.bitcast(one, SHORTS) for one in looked_up]
        return [builder.add(before, word) for before, word in zip(both, words, strict=True)] + [
            builder.add(before, builder.lshr(word, constant(SHORTS, 8)))
            for before, word in zip(odd, words, strict=True)
        ]

    return code.counted_loop(rounds, [constant(SHORTS, 0)] * (2 * len(blocks)), some_groups)


@intrinsic
def _read_packed(typing_context: Any, packed: Any, columns: Any, total: Any) -> Any:
    """total[c, v] += weight * sum over 2 bits b of 2^b ADC(sum over k < depth of levels[c, k] * bit b of drives[k, v]).

    packed: PackedBits; columns: BitColumns; total: BitTotal.
    """

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        code = VectorCode(builder)
        given = fields_of(builder, packed, values[0])
        drives = _LineDrives(given.drives, WORD(4 * VECTORS), given.depth)
        order = ir.Constant(ir.VectorType(INTEGER, VECTORS), list(range(VECTORS)))

        def shorts(halves: list[Any]) -> Any:
            parts = [builder.trunc(builder.fptosi(half, INTEGERS), ir.VectorType(SHORT, LANES)) for half in halves]
            return builder.shuffle_vector(*parts, order)

        bits = []
        for halves in float_sums(code, COLUMNS, given, drives):
            upper = [code.apply("rint", builder.fmul(half, constant(FLOATS, 1 / PACKING))) for half in halves]
            lower = [
                code.multiply_add(up, constant(FLOATS, -PACKING), half) for up, half in zip(upper, halves, strict=True)
            ]
            bits.append([shorts(lower), shorts(upper)])
        _convert_bits(code, bits, fields_of(builder, columns, values[1]), fields_of(builder, total, values[2]))
        return context.get_dummy_value()

    return types.void(packed, columns, total), generate


tabulate: Any = _tabulate
add_up: Any = _add_up
read_looked_up: Any = _read_looked_up
read_packed: Any = _read_packed
