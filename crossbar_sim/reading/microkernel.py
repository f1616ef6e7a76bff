"""Register blocks of the analog product: some vectors times 32 columns, summed and converted in vector registers.

Written as LLVM vectors of 16 numbers, which LLVM maps to whatever the processor has (one AVX-512, two AVX2 or
four SSE/NEON registers each), so the same code is portable and fast. Integer sums use the processor's product of
bytes (`vpdpbusd`) and exist only where `BYTE_PRODUCT` is true; they equal the float32 sums of the same whole
numbers bit for bit, because both are exact.
"""

from __future__ import annotations

from typing import Any

import llvmlite.binding
from llvmlite import ir
from numba import config, types
from numba.extending import intrinsic

LANES = 16  # numbers per LLVM vector
PANEL = 2 * LANES  # columns per block; matrices are padded to a multiple of it
QUAD = 4  # rows of a panel of bytes that one instruction multiplies and adds

FLOAT, BYTE, INTEGER, WORD = ir.FloatType(), ir.IntType(8), ir.IntType(32), ir.IntType(64)
FLOATS, INTEGERS, BYTES = ir.VectorType(FLOAT, LANES), ir.VectorType(INTEGER, LANES), ir.VectorType(BYTE, 64)


def processor_has(feature: str) -> bool:
    """Whether compiled code may use `feature` (LLVM's name, such as 'avx512f'); obeys numba's NUMBA_CPU_FEATURES."""
    name, features = config.CPU_NAME, config.CPU_FEATURES  # type: ignore[attr-defined]
    if name or features:
        return f"+{feature}" in (features or "").split(",")
    return bool(llvmlite.binding.get_host_cpu_features().get(feature, False))


NARROW = 4  # vectors per block where few are left
WIDE = 12 if processor_has("avx512f") else NARROW  # vectors per block: as many as the registers hold
BYTE_PRODUCT = processor_has("avx512f") and processor_has("avx512vnni")


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
        return self.builder.call(self.function("llvm.fma.v16f32", FLOATS, [FLOATS] * 3), [a, b, c])

    def unary(self, name: str, value: Any) -> Any:
        return self.builder.call(self.function(f"llvm.{name}.v16f32", FLOATS, [FLOATS]), [value])

    def pick(self, order: str, a: Any, b: Any) -> Any:
        """a where `a order b` holds, else b (also where either is NaN)."""
        return self.builder.select(self.builder.fcmp_ordered(order, a, b), a, b)

    def sums(self, rows: int, codes: Any, codes_stride: Any, panel: Any, panel_stride: Any, steps: Any) -> Any:
        """sums[r][half] = sum over k of codes[r, k] * panel[k, half]: float32 products one after the other."""
        zero = ir.Constant(FLOATS, [0.0] * LANES)

        def product(code: Any, weights: Any, before: Any) -> Any:
            return self.fma(self.splat(self.load(code, FLOAT)), weights, before)

        return self._loop(rows, codes, codes_stride, panel, panel_stride, steps, [zero, zero], FLOATS, product)

    def byte_sums(
        self, rows: int, codes: Any, codes_stride: Any, panel: Any, panel_stride: Any, steps: Any, start: Any
    ) -> Any:
        """The same as whole numbers, four rows of the panel at a time, on top of start[32]."""

        def product(code: Any, weights: Any, before: Any) -> Any:
            return self.byte_product(self.splat(self.load(code, INTEGER, align=1)), weights, before)

        first = [self.load(self.at(start, WORD(64), half), INTEGERS) for half in range(2)]
        return self._loop(rows, codes, codes_stride, panel, panel_stride, steps, first, INTEGERS, product)

    def byte_product(self, unsigned: Any, signed: Any, before: Any) -> Any:
        """before + the sum of four products of bytes, in each of 16 lanes."""
        kind = INTEGERS if llvmlite.binding.llvm_version_info[0] < 22 else BYTES  # how LLVM types the same operands
        dot = self.function("llvm.x86.avx512.vpdpbusd.512", INTEGERS, [INTEGERS, kind, kind])
        return self.builder.call(dot, [before, *(self.builder.bitcast(value, kind) for value in (unsigned, signed))])

    def _loop(
        self, rows: int, codes: Any, codes_stride: Any, panel: Any, panel_stride: Any, steps: Any, start: list[Any],
        kind: Any, product: Any,
    ) -> Any:  # fmt: skip
        """One turn per step: 4 bytes of every vector's codes, one row (two vectors) of the panel. steps >= 1."""
        builder = self.builder
        entry, loop, done = builder.block, builder.append_basic_block("sum"), builder.append_basic_block("summed")
        lines = [self.at(codes, codes_stride, r) for r in range(rows)]
        builder.branch(loop)
        builder.position_at_end(loop)
        k, row = builder.phi(WORD), builder.phi(WORD)
        before = [[builder.phi(kind) for _ in range(2)] for _ in range(rows)]
        weights = [self.load(builder.add(row, WORD(64 * half)), kind) for half in range(2)]
        after = [
            [product(builder.add(line, builder.mul(k, WORD(4))), weights[half], before[r][half]) for half in range(2)]
            for r, line in enumerate(lines)
        ]
        next_k = builder.add(k, WORD(1))
        k.add_incoming(WORD(0), entry)
        k.add_incoming(next_k, loop)
        row.add_incoming(panel, entry)
        row.add_incoming(builder.add(row, panel_stride), loop)
        for r in range(rows):
            for half in range(2):
                before[r][half].add_incoming(start[half], entry)
                before[r][half].add_incoming(after[r][half], loop)
        builder.cbranch(builder.icmp_signed("<", next_k, steps), loop, done)
        builder.position_at_end(done)
        return after

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


def _multiply(rows: int) -> Any:
    @intrinsic
    def multiply(
        typing_context: Any, codes: Any, codes_stride: Any, panel: Any, panel_stride: Any, depth: Any, sums: Any
    ) -> Any:
        """sums[r, 0:32] = sum over k < depth of codes[r, k] * panel[k, 0:32], float32."""

        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            code = Code(builder)
            for r, row in enumerate(code.sums(rows, *values[:5])):
                for half in range(2):
                    code.store(row[half], code.at(values[5], WORD(128), r, 64 * half))
            return context.get_dummy_value()

        return types.void(*[types.int64] * 6), generate

    return multiply


def _read(rows: int) -> Any:
    @intrinsic
    def read(
        typing_context: Any, codes: Any, codes_stride: Any, panel: Any, panel_stride: Any, depth: Any, noise: Any,
        columns: Any, limit: Any, total: Any, total_stride: Any,
    ) -> Any:  # fmt: skip
        """total[r, 0:32] += ADC(codes[r] @ panel + sigma[r] * normal[r]), float32.

        noise: address of sigma (rows, 32) and then normal (2 halves, rows, 16), 0 for none; columns and
        limit: see `Code.convert`.
        """

        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            code = Code(builder)
            noise, columns, limit, total, total_stride = values[5:]
            sums = code.sums(rows, *values[:5])
            summed, noisy, ready = (
                builder.block, builder.append_basic_block("noisy"), builder.append_basic_block("ready"),
            )  # fmt: skip
            builder.cbranch(builder.icmp_signed("!=", noise, WORD(0)), noisy, ready)
            builder.position_at_end(noisy)
            disturbed = [
                [
                    code.fma(
                        code.load(code.at(noise, WORD(128), r, 64 * half), FLOATS),
                        code.load(code.at(noise, WORD(64), (2 + half) * rows + r), FLOATS), row[half],
                    ) for half in range(2)
                ] for r, row in enumerate(sums)
            ]  # fmt: skip
            builder.branch(ready)
            builder.position_at_end(ready)
            joined = [[builder.phi(FLOATS) for _ in range(2)] for _ in range(rows)]
            for r in range(rows):
                for half in range(2):
                    joined[r][half].add_incoming(sums[r][half], summed)
                    joined[r][half].add_incoming(disturbed[r][half], noisy)
            code.convert(joined, columns, limit, total, total_stride)
            return context.get_dummy_value()

        return types.void(*[types.int64] * 7, types.float32, *[types.int64] * 2), generate

    return read


def _read_bytes(rows: int) -> Any:
    @intrinsic
    def read(
        typing_context: Any, codes: Any, codes_stride: Any, panel: Any, panel_stride: Any, quads: Any, start: Any,
        columns: Any, limit: Any, total: Any, total_stride: Any,
    ) -> Any:  # fmt: skip
        """total[r, 0:32] += ADC(start + codes[r] @ panel): codes unsigned bytes, panel (quads, 32, 4) signed bytes,
        start (32,) int32; a sum beyond 2^24 is rounded to float32."""

        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            code = Code(builder)
            sums = [
                [builder.sitofp(half, FLOATS) for half in row] for row in code.byte_sums(rows, *values[:6])
            ]  # fmt: skip
            code.convert(sums, *values[6:])
            return context.get_dummy_value()

        return types.void(*[types.int64] * 7, types.float32, *[types.int64] * 2), generate

    return read


@intrinsic
def _pack_quad(typing_context: Any, rows: Any, rows_stride: Any, quad: Any, start: Any) -> Any:
    """quad (32, 4) = four rows of 32 signed bytes, transposed; start (32,) int32 -= 128 times their sum."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        code = Code(builder)
        rows, stride, quad, start = values
        line = ir.VectorType(BYTE, PANEL)
        four = [code.load(code.at(rows, stride, r), line, align=1) for r in range(QUAD)]

        def shuffle(a: Any, b: Any, order: list[int]) -> Any:
            return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(INTEGER, len(order)), order))

        pairs = [shuffle(four[i], four[i + 1], list(range(2 * PANEL))) for i in (0, 2)]
        offsets = ir.Constant(INTEGERS, [-0x7F7F7F80] * LANES)  # every byte 128
        for half in range(2):
            order = [PANEL * r + LANES * half + j for j in range(LANES) for r in range(QUAD)]
            packed = builder.bitcast(shuffle(pairs[0], pairs[1], order), INTEGERS)
            code.store(packed, code.at(quad, WORD(64), half))
            place = code.at(start, WORD(64), half)
            high = code.byte_product(offsets, packed, ir.Constant(INTEGERS, [0] * LANES))
            code.store(builder.sub(code.load(place, INTEGERS), high), place)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 4), generate


multiply_wide, multiply_narrow = _multiply(WIDE), _multiply(NARROW)
read_wide, read_narrow = _read(WIDE), _read(NARROW)
read_bytes_wide, read_bytes_narrow = _read_bytes(WIDE), _read_bytes(NARROW)
pack_quad: Any = _pack_quad
