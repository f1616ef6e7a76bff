"""Counter-based Gaussian numbers: a draw depends on (key, counter) alone, never on order or thread count.

Threefry-2x32 with 13 rounds (Salmon et al., SC 2011, doi:10.1145/2063384.2063405) and Box-Muller in
float32 with polynomial logarithm and sine (absolute error below 3e-6), so that loops vectorise.
"""

from __future__ import annotations

import hashlib
import math
from typing import Any

import numpy as np
import torch
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from crossbar_sim.runtime.compiling import entry

ROTATIONS = (13, 15, 26, 6, 17, 29, 16, 24, 13, 15, 26, 6, 17)
PARITY = 0x1BD11BDA
SINE = (0.08214589, -0.59926453, 2.55016404, -5.16771278, 3.14159265)  # sin(pi f) / f by powers of f^2, highest first
LOGARITHM = (  # (log(1 + z) - z + z^2 / 2) / z^3 by powers of z, highest first
    7.0376836292e-2,
    -1.1514610310e-1,
    1.1676998740e-1,
    -1.2420140846e-1,
    1.4249322787e-1,
    -1.6668057665e-1,
    2.0000714765e-1,
    -2.4999993993e-1,
    3.3333331174e-1,
)

Key = tuple[np.uint32, np.uint32]


def stream_key(seed: int, *names: str) -> Key:
    """The two key words of an independent stream named by `names` under `seed`."""
    digest = hashlib.sha256("\x1f".join((str(seed), *names)).encode()).digest()
    return np.uint32(int.from_bytes(digest[:4], "little")), np.uint32(int.from_bytes(digest[4:8], "little"))


@intrinsic
def bits_to_float(typing_context: Any, bits: Any) -> Any:
    return types.float32(types.int32), lambda context, builder, signature, args: builder.bitcast(
        args[0], ir.FloatType()
    )


@intrinsic
def _float_to_bits(typing_context: Any, number: Any) -> Any:
    return types.int32(types.float32), lambda context, builder, signature, args: builder.bitcast(
        args[0], ir.IntType(32)
    )


def threefry_words(builder: Any, counter: tuple[Any, Any], key: tuple[Any, Any]) -> tuple[Any, Any]:
    """`threefry` of numbers or, in every lane, of vectors, as instructions of `builder`."""
    kind = key[0].type

    def constant(number: int) -> Any:
        return ir.Constant(kind, [number] * kind.count if isinstance(kind, ir.VectorType) else number)

    keys = (*key, builder.xor(builder.xor(*key), constant(PARITY)))
    x0, x1 = builder.add(counter[0], key[0]), builder.add(counter[1], key[1])
    for index, left in enumerate(ROTATIONS):
        x0 = builder.add(x0, x1)
        rotated = builder.or_(builder.shl(x1, constant(left)), builder.lshr(x1, constant(32 - left)))
        x1 = builder.xor(rotated, x0)
        if index in (3, 7, 11):
            turn = index // 4 + 1
            x0 = builder.add(x0, keys[turn % 3])
            x1 = builder.add(x1, builder.add(keys[(turn + 1) % 3], constant(turn)))
    return x0, x1


@intrinsic
def _threefry(typing_context: Any, c0: Any, c1: Any, k0: Any, k1: Any) -> Any:
    """Two random 32-bit words for counter (c0, c1) under key (k0, k1)."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return cgutils.pack_array(builder, threefry_words(builder, values[:2], values[2:]))

    return types.UniTuple(types.uint32, 2)(*[types.uint32] * 4), generate


threefry: Any = _threefry


@njit(inline="always")
def _sin_pi(f):
    """sin(pi f) for |f| <= 1/2."""
    q = f * f
    p = np.float32(SINE[0])
    p = p * q + np.float32(SINE[1])
    p = p * q + np.float32(SINE[2])
    p = p * q + np.float32(SINE[3])
    p = p * q + np.float32(SINE[4])
    return f * p


@njit(inline="always")
def normal_pair(c0, c1, k0, k1):
    """Two independent N(0, 1) numbers (float32) for counter (c0, c1) under key (k0, k1)."""
    w0, w1 = threefry(c0, c1, k0, k1)
    u = (np.float32(w0 >> np.uint32(8)) + np.float32(0.5)) * np.float32(2.0**-24)
    bits: Any = _float_to_bits(u)  # type: ignore[call-arg]
    exponent = np.float32((bits >> np.int32(23)) - np.int32(126))
    m = bits_to_float((bits & np.int32(0x7FFFFF)) | np.int32(0x3F000000))
    low = m < np.float32(0.70710678)
    m = m + m if low else m
    exponent = exponent - (np.float32(1) if low else np.float32(0))
    z = m - np.float32(1)
    p = np.float32(LOGARITHM[0])
    p = p * z + np.float32(LOGARITHM[1])
    p = p * z + np.float32(LOGARITHM[2])
    p = p * z + np.float32(LOGARITHM[3])
    p = p * z + np.float32(LOGARITHM[4])
    p = p * z + np.float32(LOGARITHM[5])
    p = p * z + np.float32(LOGARITHM[6])
    p = p * z + np.float32(LOGARITHM[7])
    p = p * z + np.float32(LOGARITHM[8])
    log_u = z + (p * z - np.float32(0.5)) * z * z + exponent * np.float32(0.69314718056)
    radius = np.sqrt(np.float32(-2) * log_u)
    angle = np.float32(np.int32(w1)) * np.float32(2.0**-31)  # in units of pi
    size = abs(angle)
    sine = _sin_pi(np.float32(0.5) - abs(size - np.float32(0.5)))
    return radius * _sin_pi(np.float32(0.5) - size), radius * (sine if angle >= np.float32(0) else -sine)


@entry
def normals(counters, key):
    """Two standard normal numbers per cell; cell i uses counter (i, counters[i])."""
    z0, z1 = np.empty(counters.size), np.empty(counters.size)
    for i in range(counters.size):
        z0[i], z1[i] = normal_pair(np.uint32(i), counters[i], key[0], key[1])
    return z0, z1


@entry
def uniforms_at(counters, key):
    """One number in (0, 1) per cell; cell i uses counter (i, counters[i])."""
    numbers = np.empty(counters.size)
    for i in range(counters.size):
        word, _ = threefry(np.uint32(i), counters[i], key[0], key[1])
        numbers[i] = (float(word) + 0.5) * 2.0**-32
    return numbers


def torch_normal_pair(c0: torch.Tensor, c1: torch.Tensor, key: Key) -> tuple[torch.Tensor, torch.Tensor]:
    """The same two numbers as `normal_pair` (to about 1e-5), elementwise on any torch device."""
    mask = 0xFFFFFFFF
    k = (int(key[0]), int(key[1]), PARITY ^ int(key[0]) ^ int(key[1]))
    x0, x1 = (c0.long() + k[0]) & mask, (c1.long() + k[1]) & mask
    for index, left in enumerate(ROTATIONS):
        x0 = (x0 + x1) & mask
        x1 = (((x1 << left) | (x1 >> (32 - left))) & mask) ^ x0
        if index in (3, 7, 11):
            turn = index // 4 + 1
            x0, x1 = (x0 + k[turn % 3]) & mask, (x1 + k[(turn + 1) % 3] + turn) & mask
    radius = torch.sqrt(-2 * torch.log(((x0 >> 8).float() + 0.5) * 2.0**-24))
    signed = torch.where(x1 >= 2**31, x1 - 2**32, x1).float() * 2.0**-31
    return radius * torch.cos(math.pi * signed), radius * torch.sin(math.pi * signed)
