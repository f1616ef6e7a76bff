"""Register blocks of bit-serial reads: a few columns times the bits of 32 vectors, summed and converted in registers.

Two blocks give the same whole numbers. `read_packed` multiplies float32 numbers that hold two bits each, on any
processor. `read_looked_up` multiplies nothing: the sum over the cells of six word lines takes only 64 values, which a
processor with a permutation of 64 bytes (`vpermb`) looks up for 64 bits at once; it exists only where `LOOKUP` is true.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from crossbar_sim.reading.compiled.llvm.blocks import (
    BYTE,
    BYTES,
    FLOAT,
    FLOATS,
    INTEGER,
    INTEGERS,
    LANES,
    SHORT,
    SHORTS,
    WORD,
    Code,
    every,
    processor_has,
)

COLUMNS = 4  # columns per block
VECTORS = 2 * LANES  # vectors per block
LINES = 6  # word lines per table of 64 sums
LOOKED_UP_BITS, PACKED_BITS = 4, 2  # bits of each vector per block
PACKING = 4096  # a packed number is its lower bit plus this times its upper bit
LARGEST_SUM = PACKING // 2 - 1  # of which two can be told apart when packed
LARGEST_LEVEL = 127 // LINES  # of a cell whose sums a signed byte holds
LOOKUP = processor_has("avx512vbmi")
COLUMN_BYTES = 192  # of one column's settings: see `_convert`
TABLE_BYTES = COLUMNS * 64


def _convert(code: Code, sums: list[list[Any]], columns: Any, limit: Any, worth: Any, total: Any, stride: Any) -> None:
    """total[c, 0:32] += worth * sum over bits b of 2^b ADC(sums[c][b]), exact below 2^24.

    columns: of every column its factor from sums to codes (float32, at byte 0), up to which sum the code is the sum
    itself and up to which none is clipped (int16, at 4 and 6) and, updated, the largest |sum| and the count of clipped
    conversions (32 int16 each, at 64 and 128).
    """
    builder, flag = code.builder, ir.IntType(1)
    size, sizes = code.function("llvm.abs.v32i16", SHORTS, [SHORTS, flag]), []
    step, worths = WORD(COLUMN_BYTES), code.splat(worth)
    beyond = every(ir.VectorType(flag, VECTORS), 0)
    for c, bits in enumerate(sums):
        sizes.append([builder.call(size, [one, flag(0)]) for one in bits])
        largest = sizes[c][0]
        for other in sizes[c][1:]:
            largest = builder.select(builder.icmp_signed(">", other, largest), other, largest)
        place = code.at(columns, step, c, 64)
        peak = code.load(place, SHORTS)
        code.store(builder.select(builder.icmp_signed(">", largest, peak), largest, peak), place)
        same = code.splat(code.load(code.at(columns, step, c, 4), SHORT), VECTORS)
        beyond = builder.or_(beyond, builder.icmp_signed(">", largest, same))
    rounded, whole, end = (builder.append_basic_block(name) for name in ("rounded", "whole", "converted"))
    some = builder.bitcast(beyond, INTEGER)  # a bit of each vector
    builder.cbranch(builder.icmp_unsigned("!=", some, INTEGER(0)), rounded, whole)

    halves = [ir.Constant(INTEGERS, list(range(LANES * half, LANES * (half + 1)))) for half in range(2)]

    def numbers(shorts: Any, half: int) -> Any:
        part = builder.shuffle_vector(shorts, shorts, halves[half])
        return builder.sitofp(builder.sext(part, INTEGERS), FLOATS)

    def add(c: int, half: int, codes: Any) -> None:
        place = code.at(total, stride, c, 64 * half)
        code.store(code.fma(codes, worths, code.load(place, FLOATS)), place)

    builder.position_at_end(whole)
    for c, bits in enumerate(sums):
        together = bits[-1]
        for one in reversed(bits[:-1]):
            together = builder.add(builder.add(together, together), one)
        for half in range(2):
            add(c, half, numbers(together, half))
    builder.branch(end)

    builder.position_at_end(rounded)
    high, two = code.splat(limit), every(FLOATS, 2.0)
    low = builder.fneg(high)
    for c, bits in enumerate(sums):
        to_code = code.splat(code.load(code.at(columns, step, c), FLOAT))
        unclipped = code.splat(code.load(code.at(columns, step, c, 6), SHORT), VECTORS)
        place = code.at(columns, step, c, 128)
        count = code.load(place, SHORTS)
        for one in sizes[c]:
            count = builder.sub(count, builder.sext(builder.icmp_signed(">", one, unclipped), SHORTS))
        code.store(count, place)
        for half in range(2):
            together = None
            for one in reversed(bits):
                rounded_code = code.unary("rint", builder.fmul(numbers(one, half), to_code))
                clipped = code.pick(">", code.pick("<", rounded_code, high), low)
                together = clipped if together is None else code.fma(together, two, clipped)
            add(c, half, together)
    builder.branch(end)
    builder.position_at_end(end)


@intrinsic
def _tabulate(typing_context: Any, levels: Any, groups: Any, offset: Any, tables: Any) -> Any:
    """tables[g, c, s] = offset + sum over the bits i of s of levels[g, c, i], bytes; levels (groups + 1, 4, 6).

    First all sums over three lines, 8 for each half of each column, then every one of the lower with every one of the
    upper half.
    """

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        code = Code(builder)
        levels, groups, offset, tables = values
        line = ir.VectorType(BYTE, 32)
        lower = ir.Constant(ir.VectorType(ir.IntType(1), 64), [place // 8 % 2 == 0 for place in range(64)])
        start = builder.select(lower, code.splat(builder.trunc(offset, BYTE), 64), every(BYTES, 0))

        def shuffled(values: Any, other: Any, order: list[int]) -> Any:
            return builder.shuffle_vector(values, other, ir.Constant(ir.VectorType(INTEGER, 64), order))

        def table(g: Any, nothing: Any) -> list[Any]:
            cells = code.load(builder.add(levels, builder.mul(g, WORD(COLUMNS * LINES))), line, align=1)
            threes = start
            for i in range(3):
                order = [place // 8 * 3 + i if place >> i & 1 else 32 for place in range(64)]
                threes = builder.add(threes, shuffled(cells, every(line, 0), order))
            for c in range(COLUMNS):
                low, high = ([16 * c + 8 * half + (s >> 3 * half) % 8 for s in range(64)] for half in range(2))
                sums = builder.add(shuffled(threes, threes, low), shuffled(threes, threes, high))
                code.store(sums, builder.add(tables, builder.add(builder.mul(g, WORD(TABLE_BYTES)), WORD(64 * c))))
            return []

        code.loop(groups, [], table)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 4), generate


@intrinsic
def _add_up(typing_context: Any, codes: Any, factor: Any, blocks: Any, total: Any) -> Any:
    """total[i] += codes[i] * factor for 32 * blocks numbers (float32); codes back to zero."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        code = Code(builder)
        codes, factor, blocks, total = values
        factors = code.splat(factor)

        def block(i: Any, nothing: Any) -> list[Any]:
            for half in range(2):
                offset = builder.add(builder.mul(i, WORD(4 * VECTORS)), WORD(64 * half))
                here, there = builder.add(codes, offset), builder.add(total, offset)
                code.store(code.fma(code.load(here, FLOATS), factors, code.load(there, FLOATS)), there)
                code.store(every(FLOATS, 0.0), here)
            return []

        code.loop(blocks, [], block)
        return context.get_dummy_value()

    return types.void(types.int64, types.float32, types.int64, types.int64), generate


@intrinsic
def _read_looked_up(
    typing_context: Any,
    drives: Any,
    tables: Any,
    groups: Any,
    together: Any,
    offset: Any,
    columns: Any,
    limit: Any,
    worth: Any,
    total: Any,
    total_stride: Any,
) -> Any:
    """total[c, v] += worth * sum over 4 bits b of 2^b ADC(sum over groups g of tables[g, c, drives[g, b, v]] - offset).

    drives (groups, 2, 32, 2): bytes, one per pair of bits, vector and bit; tables (groups, 4, 64): bytes, of which
    `together` groups never sum above 255; see `_convert`.
    """

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        code = Code(builder)
        drives, tables, groups, together, offset, columns, limit, worth, total, stride = values
        permute = code.function("llvm.x86.avx512.permvar.qi.512", BYTES, [BYTES, BYTES])
        blocks = [(c, pair) for c in range(COLUMNS) for pair in range(2)]
        rounds = builder.sdiv(builder.sub(builder.add(groups, together), WORD(1)), together)

        def some_groups(turn: Any, sums: list[Any]) -> list[Any]:
            first = builder.mul(turn, together)
            left = builder.sub(groups, first)
            count = builder.select(builder.icmp_signed("<", left, together), left, together)

            def group(i: Any, short_sums: list[Any]) -> list[Any]:
                g = builder.add(first, i)
                driven = [
                    code.load(builder.add(drives, builder.add(builder.mul(g, WORD(128)), WORD(64 * pair))), BYTES)
                    for pair in range(2)
                ]
                columns_of = [
                    code.load(builder.add(tables, builder.add(builder.mul(g, WORD(TABLE_BYTES)), WORD(64 * c))), BYTES)
                    for c in range(COLUMNS)
                ]
                return [
                    builder.add(before, builder.call(permute, [columns_of[c], driven[pair]]))
                    for (c, pair), before in zip(blocks, short_sums, strict=True)
                ]

            looked_up = code.loop(count, [every(BYTES, 0)] * len(blocks), group)
            both, odd = sums[: len(blocks)], sums[len(blocks) :]
            words = [builder.bitcast(one, SHORTS) for one in looked_up]
            return [builder.add(before, word) for before, word in zip(both, words, strict=True)] + [
                builder.add(before, builder.lshr(word, every(SHORTS, 8)))
                for before, word in zip(odd, words, strict=True)
            ]

        sums = code.loop(rounds, [every(SHORTS, 0)] * (2 * len(blocks)), some_groups)
        offsets = code.splat(builder.trunc(offset, SHORT), VECTORS)
        bits: list[list[Any]] = [[] for _ in range(COLUMNS)]
        for (c, _), both, odd in zip(blocks, sums[: len(blocks)], sums[len(blocks) :], strict=True):
            even = builder.sub(both, builder.shl(odd, every(SHORTS, 8)))
            bits[c] += [builder.sub(even, offsets), builder.sub(odd, offsets)]
        _convert(code, bits, columns, limit, worth, total, stride)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 6, types.float32, types.float32, *[types.int64] * 2), generate


@intrinsic
def _read_packed(
    typing_context: Any,
    levels: Any,
    stride: Any,
    drives: Any,
    depth: Any,
    columns: Any,
    limit: Any,
    worth: Any,
    total: Any,
    total_stride: Any,
) -> Any:
    """total[c, v] += worth * sum over 2 bits b of 2^b ADC(sum over k < depth of levels[c, k] * bit b of drives[k, v]).

    levels (4, stride bytes): float32; drives (depth, 32): float32, lower bit + PACKING * upper bit; see `_convert`.
    """

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        code = Code(builder)
        levels, levels_stride, drives, depth, columns, limit, worth, total, stride = values
        packed = code.sums(COLUMNS, levels, levels_stride, drives, WORD(4 * VECTORS), depth)
        order = ir.Constant(ir.VectorType(INTEGER, VECTORS), list(range(VECTORS)))

        def shorts(halves: list[Any]) -> Any:
            parts = [builder.trunc(builder.fptosi(half, INTEGERS), ir.VectorType(SHORT, LANES)) for half in halves]
            return builder.shuffle_vector(*parts, order)

        bits = []
        for halves in packed:
            upper = [code.unary("rint", builder.fmul(half, every(FLOATS, 1 / PACKING))) for half in halves]
            lower = [code.fma(up, every(FLOATS, -PACKING), half) for up, half in zip(upper, halves, strict=True)]
            bits.append([shorts(lower), shorts(upper)])
        _convert(code, bits, columns, limit, worth, total, stride)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 5, types.float32, types.float32, *[types.int64] * 2), generate


tabulate: Any = _tabulate
add_up: Any = _add_up
read_looked_up: Any = _read_looked_up
read_packed: Any = _read_packed
