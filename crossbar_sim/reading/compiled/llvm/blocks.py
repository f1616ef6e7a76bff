"""Register blocks of the analog product: some vectors times 32 columns, summed and converted in vector registers.

Written as LLVM vectors of 16 numbers, which LLVM maps to whatever the processor has (one AVX-512, two AVX2 or
four SSE/NEON registers each), so the same code is portable and fast. Integer sums use the processor's product of
bytes (`vpdpbusd`) and exist only where `BYTE_PRODUCT` is true; they equal the float32 sums of the same whole
numbers bit for bit, because both are exact.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import llvmlite.binding
from llvmlite import ir
from numba import config, types
from numba.extending import intrinsic

LANES = 16  # numbers per LLVM vector
PANEL = 2 * LANES  # columns per block; matrices are padded to a multiple of it

FLOAT, BYTE, SHORT, INTEGER, WORD = ir.FloatType(), *(ir.IntType(bits) for bits in (8, 16, 32, 64))
FLOATS, INTEGERS = ir.VectorType(FLOAT, LANES), ir.VectorType(INTEGER, LANES)
SHORTS, BYTES = ir.VectorType(SHORT, 2 * LANES), ir.VectorType(BYTE, 4 * LANES)


def processor_has(feature: str) -> bool:
    """Whether compiled code may use `feature` (LLVM's name, such as 'avx512f'); obeys numba's NUMBA_CPU_FEATURES."""
    name, features = config.CPU_NAME, config.CPU_FEATURES  # type: ignore[attr-defined]
    if name or features:
        return f"+{feature}" in (features or "").split(",")
    return bool(llvmlite.binding.get_host_cpu_features().get(feature, False))


NARROW = 2  # vectors per block where few are left
WIDE = 12 if processor_has("avx512f") else 4  # vectors per block: as many as the registers hold
BYTE_PRODUCT = processor_has("avx512f") and processor_has("avx512vnni")


def every(kind: Any, number: float) -> Any:
    """A constant in every lane."""
    return ir.Constant(kind, [number] * kind.count)


class Code:
    """One block under construction: an LLVM builder and the few shapes of instruction that blocks need."""

    def __init__(self, builder: Any) -> None:
        self.builder = builder

    def function(self, name: str, result: Any, arguments: list[Any]) -> Any:
        """An LLVM intrinsic by name."""
        module = self.builder.module
        return module.globals.get(name) or ir.Function(module, ir.FunctionType(result, arguments), name)

    def at(self, address: Any, stride: Any, row: int, offset: int = 0) -> Any:
        """address + row * stride + offset, in bytes."""
        there = self.builder.add(address, self.builder.mul(stride, WORD(row)))
        return self.builder.add(there, WORD(offset))

    def load(self, address: Any, kind: Any, align: int = 4) -> Any:
        return self.builder.load(self.builder.inttoptr(address, kind.as_pointer()), align=align)

    def store(self, value: Any, address: Any) -> None:
        self.builder.store(value, self.builder.inttoptr(address, value.type.as_pointer()), align=4)

    def splat(self, number: Any, lanes: int = LANES) -> Any:
        """A number in every lane."""
        nothing = ir.Constant(ir.VectorType(number.type, lanes), ir.Undefined)
        lane = self.builder.insert_element(nothing, number, INTEGER(0))
        return self.builder.shuffle_vector(lane, nothing, ir.Constant(ir.VectorType(INTEGER, lanes), [0] * lanes))

    def fma(self, a: Any, b: Any, c: Any) -> Any:
        return self.builder.call(self.function(f"llvm.fma.v{a.type.count}f32", a.type, [a.type] * 3), [a, b, c])

    def unary(self, name: str, value: Any) -> Any:
        kind = value.type
        return self.builder.call(self.function(f"llvm.{name}.v{kind.count}f32", kind, [kind]), [value])

    def pick(self, order: str, a: Any, b: Any) -> Any:
        """a where `a order b` holds, else b (also where either is NaN)."""
        return self.builder.select(self.builder.fcmp_ordered(order, a, b), a, b)

    def loop(self, count: Any, start: list[Any], body: Callable[[Any, list[Any]], list[Any]]) -> list[Any]:
        """`body(i, values)` for i = 0 ... count - 1 (at least once), from the values `start` on; the last values."""
        builder = self.builder
        entry, loop, done = builder.block, builder.append_basic_block("loop"), builder.append_basic_block("looped")
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

    def sums(self, rows: int, codes: Any, codes_stride: Any, panel: Any, panel_stride: Any, steps: Any) -> Any:
        """sums[r][half] = sum over k of codes[r, k] * panel[k, half]: float32 products one after the other."""
        zero = ir.Constant(FLOATS, [0.0] * LANES)

        def product(code: Any, weights: Any, before: Any) -> Any:
            return self.fma(self.splat(self.load(code, FLOAT)), weights, before)

        return self._loop(rows, codes, codes_stride, panel, panel_stride, steps, [zero, zero], FLOATS, product)

    def whole_sums(
        self, rows: int, shorts: bool, codes: Any, codes_stride: Any, panel: Any, steps: Any, start: Any
    ) -> Any:
        """The same as whole numbers on top of start[32]: two rows at a time of 16-bit numbers or four of bytes."""
        multiply = self.short_product if shorts else self.byte_product

        def product(code: Any, weights: Any, before: Any) -> Any:
            return multiply(self.splat(self.load(code, INTEGER, align=1)), weights, before)

        first = [self.load(self.at(start, WORD(64), half), INTEGERS) for half in range(2)]
        return self._loop(rows, codes, codes_stride, panel, WORD(4 * PANEL), steps, first, INTEGERS, product)

    def byte_product(self, unsigned: Any, signed: Any, before: Any) -> Any:
        """before + the sum of four products of bytes, in each of 16 lanes."""
        kind = INTEGERS if llvmlite.binding.llvm_version_info[0] < 22 else BYTES  # how LLVM types the same operands
        dot = self.function("llvm.x86.avx512.vpdpbusd.512", INTEGERS, [INTEGERS, kind, kind])
        return self.builder.call(dot, [before, *(self.builder.bitcast(value, kind) for value in (unsigned, signed))])

    def short_product(self, a: Any, b: Any, before: Any) -> Any:
        """before + the sum of two products of 16-bit numbers, in each of 16 lanes: one instruction, `vpdpwssd`."""
        dot = self.function("llvm.x86.avx512.pmaddw.d.512", INTEGERS, [SHORTS, SHORTS])
        return self.builder.add(before, self.builder.call(dot, [self.builder.bitcast(one, SHORTS) for one in (a, b)]))

    def _loop(
        self,
        rows: int,
        codes: Any,
        codes_stride: Any,
        panel: Any,
        panel_stride: Any,
        steps: Any,
        start: list[Any],
        kind: Any,
        product: Any,
    ) -> Any:
        """One turn per step: 4 bytes of every vector's codes, one row (two vectors) of the panel. steps >= 1."""
        builder = self.builder
        lines = [self.at(codes, codes_stride, r) for r in range(rows)]

        def turn(k: Any, before: list[Any]) -> list[Any]:
            row, offset = builder.add(panel, builder.mul(k, panel_stride)), builder.mul(k, WORD(4))
            weights = [self.load(builder.add(row, WORD(64 * half)), kind) for half in range(2)]
            return [product(builder.add(lines[i // 2], offset), weights[i % 2], before[i]) for i in range(2 * rows)]

        after = self.loop(steps, start * rows, turn)
        return [after[2 * r : 2 * r + 2] for r in range(rows)]

    def convert(self, sums: Any, columns: Any, limit: Any, total: Any, total_stride: Any) -> None:
        """total += ADC(sums): the code is rint(sum * to_code), clipped to limit; without a limit, the sum itself.

        columns: 4 x 32 numbers: to_code, to_current (what one code adds to the total), and, updated, the largest
        |sum| and the count of clipped conversions.
        """
        builder = self.builder
        to_code, to_current, peak, over = (
            [self.load(self.at(columns, WORD(128), row, 64 * half), kind) for half in range(2)]
            for row, kind in enumerate((FLOATS, FLOATS, FLOATS, INTEGERS))
        )
        for row in sums:
            for half in range(2):
                peak[half] = self.pick(">", self.unary("fabs", row[half]), peak[half])
        for half in range(2):
            self.store(peak[half], self.at(columns, WORD(128), 2, 64 * half))
        coarse, exact, end = (builder.append_basic_block(name) for name in ("coarse", "exact", "converted"))
        builder.cbranch(builder.fcmp_ordered(">", limit, FLOAT(0.0)), coarse, exact)

        def add(r: int, half: int, reading: Any) -> None:
            place = self.at(total, total_stride, r, 64 * half)
            self.store(self.fma(reading, to_current[half], self.load(place, FLOATS)), place)

        builder.position_at_end(coarse)
        high = self.splat(limit)
        low = builder.fneg(high)
        for r, row in enumerate(sums):
            for half in range(2):
                code = self.unary("rint", builder.fmul(row[half], to_code[half]))
                clipped = builder.fcmp_ordered(">", self.unary("fabs", code), high)
                over[half] = builder.sub(over[half], builder.sext(clipped, INTEGERS))
                add(r, half, self.pick(">", self.pick("<", code, high), low))
        for half in range(2):
            self.store(over[half], self.at(columns, WORD(128), 3, 64 * half))
        builder.branch(end)
        builder.position_at_end(exact)
        for r, row in enumerate(sums):
            for half in range(2):
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
def _deviate(
    typing_context: Any,
    rows: Any,
    squares: Any,
    squares_stride: Any,
    panel: Any,
    panel_stride: Any,
    depth: Any,
    sigma: Any,
) -> Any:
    """sigma[r, 0:32]^2 = sum over k < depth of squares[r, k] * panel[k, 0:32], float32, for WIDE or NARROW rows r."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        def block(rows: int) -> None:
            code = Code(builder)
            for r, row in enumerate(code.sums(rows, *values[1:6])):
                for half in range(2):
                    code.store(code.unary("sqrt", row[half]), code.at(values[6], WORD(128), r, 64 * half))

        _for_rows(builder, values[0], block)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 7), generate


@intrinsic
def _read(
    typing_context: Any,
    rows: Any,
    codes: Any,
    codes_stride: Any,
    panel: Any,
    panel_stride: Any,
    depth: Any,
    sigma: Any,
    sigma_stride: Any,
    apart: Any,
    normal: Any,
    columns: Any,
    limit: Any,
    total: Any,
    total_stride: Any,
) -> Any:
    """total[r, 0:32] += ADC(codes[r] @ panel + sigma[r] * normal[r]), float32, for WIDE or NARROW rows r.

    sigma: 16 numbers for each row and, `apart` bytes further, for the other half of the columns, address 0 for no
    noise; normal (2 halves, WIDE, 16); columns and limit: see `Code.convert`.
    """

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        sigma, sigma_stride, apart, normal, columns, limit, total, total_stride = values[6:]

        def block(rows: int) -> None:
            code = Code(builder)
            sums = code.sums(rows, *values[1:6])
            summed, noisy, ready = (
                builder.block,
                builder.append_basic_block("noisy"),
                builder.append_basic_block("ready"),
            )
            builder.cbranch(builder.icmp_signed("!=", sigma, WORD(0)), noisy, ready)
            builder.position_at_end(noisy)
            disturbed = [
                [
                    code.fma(
                        code.load(builder.add(code.at(sigma, sigma_stride, r), builder.mul(apart, WORD(half))), FLOATS),
                        code.load(code.at(normal, WORD(64), half * WIDE + r), FLOATS),
                        row[half],
                    )
                    for half in range(2)
                ]
                for r, row in enumerate(sums)
            ]
            builder.branch(ready)
            builder.position_at_end(ready)
            joined = [[builder.phi(FLOATS) for _ in range(2)] for _ in range(rows)]
            for r in range(rows):
                for half in range(2):
                    joined[r][half].add_incoming(sums[r][half], summed)
                    joined[r][half].add_incoming(disturbed[r][half], noisy)
            code.convert(joined, columns, limit, total, total_stride)

        _for_rows(builder, values[0], block)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 11, types.float32, *[types.int64] * 2), generate


@intrinsic
def _read_whole(
    typing_context: Any,
    packed: Any,
    rows: Any,
    codes: Any,
    codes_stride: Any,
    panel: Any,
    steps: Any,
    start: Any,
    columns: Any,
    limit: Any,
    total: Any,
    total_stride: Any,
) -> Any:
    """total[r, 0:32] += ADC(start + codes[r] @ panel) for WIDE or NARROW rows r, in whole numbers, exact below 2^24.

    packed: the array of which panel is a part; its type says whether to multiply 16-bit numbers, panel (steps, 32, 2),
    or bytes, panel (steps, 32, 4), where codes are unsigned; start (32,) int32.
    """
    shorts = packed.dtype.bitwidth == 16

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        def block(rows: int) -> None:
            code = Code(builder)
            sums = code.whole_sums(rows, shorts, *values[2:7])
            code.convert([[builder.sitofp(half, FLOATS) for half in row] for row in sums], *values[7:])

        _for_rows(builder, values[1], block)
        return context.get_dummy_value()

    return types.void(packed, *[types.int64] * 7, types.float32, *[types.int64] * 2), generate


deviate: Any = _deviate
read: Any = _read
read_whole: Any = _read_whole
