"""float16 to float32 and back: by the processor, or by integers where it does not convert.

The second way computes the same, and has no number on its way that is subnormal in float32: kernels run with those
flushed to zero.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from .emit import FLOAT, I16, I32, Function, filled, like

_HALF = ir.HalfType()
# the biases of the two exponents differ by 112; the other numbers are bits of float32
_BIAS, _INFINITE, _TOO_LARGE, _LEAST_NORMAL, _ONE_HALF = 112 << 23, 255 << 23, 143 << 23, 113 << 23, 126 << 23


def widened(f: Function, raw: Any) -> Any:
    """Return the float32 values of bits of float16, one or a vector."""
    b = f.b
    if f.module.converts_half:
        return b.fpext(b.bitcast(raw, like(raw, _HALF)), like(raw, FLOAT))
    bits = b.zext(raw, like(raw, I32))
    wide, real = bits.type, like(raw, FLOAT)
    magnitude = b.and_(bits, filled(wide, 0x7FFF))
    sign = b.shl(b.xor(bits, magnitude), filled(wide, 16))
    normal = b.add(b.shl(magnitude, filled(wide, 13)), filled(wide, _BIAS))
    # infinities and what is not a number have the largest exponent here and there
    largest = b.icmp_unsigned(">=", magnitude, filled(wide, 0x7C00))
    normal = b.select(largest, b.add(normal, filled(wide, _BIAS)), normal)
    # subnormal ones are multiples of 2^-24
    small = b.bitcast(b.fmul(b.sitofp(magnitude, real), filled(real, 2.0**-24)), wide)
    is_small = b.icmp_unsigned("<", magnitude, filled(wide, 0x400))
    return b.bitcast(b.or_(b.select(is_small, small, normal), sign), real)


def narrowed(f: Function, value: Any) -> Any:
    """Round float32 to bits of float16, to nearest and ties to even."""
    b = f.b
    if f.module.converts_half:
        return b.bitcast(b.fptrunc(value, like(value, _HALF)), like(value, I16))
    bits = b.bitcast(value, like(value, I32))
    wide = bits.type
    magnitude = b.and_(bits, filled(wide, 0x7FFFFFFF))
    sign = b.lshr(b.xor(bits, magnitude), filled(wide, 16))
    odd = b.and_(b.lshr(magnitude, filled(wide, 13)), filled(wide, 1))
    normal = b.lshr(b.add(b.sub(magnitude, filled(wide, _BIAS)), b.add(odd, filled(wide, 0xFFF))), filled(wide, 13))
    # beside 1/2 the last bit of float32 is 2^-24, so the sum is rounded as the result is to be
    half = filled(value.type, 0.5)
    sum_bits = b.bitcast(b.fadd(b.bitcast(magnitude, value.type), half), wide)
    small = b.sub(sum_bits, filled(wide, _ONE_HALF))
    found = b.select(b.icmp_unsigned("<", magnitude, filled(wide, _LEAST_NORMAL)), small, normal)
    found = b.select(b.icmp_unsigned(">=", magnitude, filled(wide, _TOO_LARGE)), filled(wide, 0x7C00), found)
    found = b.select(b.icmp_unsigned(">", magnitude, filled(wide, _INFINITE)), filled(wide, 0x7E00), found)
    return b.trunc(b.or_(found, sign), like(value, I16))
