"""The ADC, once: the code of a current, for the blocks of multi-level and of bit-serial reads alike."""

from __future__ import annotations

from typing import Any

from numba import types
from numba.extending import intrinsic

from crossbar_sim.reading.compiled.llvm.vector_code import VectorCode


def emit_code(code: VectorCode, sums: Any, to_code: Any) -> Any:
    """round(sum * to_code), ties to even: the code before it is clipped; float32, numbers or vectors."""
    return code.apply("rint", code.builder.fmul(sums, to_code))


def emit_clipped(code: VectorCode, codes: Any, largest: Any) -> Any:
    """The codes, at most `largest` and at least -largest."""
    return code.larger(code.smaller(codes, largest), code.builder.fneg(largest))


@intrinsic
def _adc_code(typing_context: Any, total: Any, to_code: Any) -> Any:
    """round(total * to_code) of one current: the code that `emit_code` gives it, for compiled code outside blocks."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return emit_code(VectorCode(builder), *values)

    return types.float32(types.float32, types.float32), generate


adc_code: Any = _adc_code
