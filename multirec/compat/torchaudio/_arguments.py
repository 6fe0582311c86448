"""Arguments of torchaudio's functions: what they may be, and numbers as tensors."""

from __future__ import annotations

import torch
from torch import Tensor

from multirec.errors import ArgumentError, DtypeError, FamilyError, ShapeError


def check_signal(waveform: Tensor, clamp: bool = False) -> None:
    """Raise unless a waveform is a tensor of numbers that can be filtered, and clamped where that is asked."""
    check_tensor("waveform", waveform, clamp)
    if waveform.ndim == 0:
        raise ShapeError("waveform has no axes; it is (..., time). Pass waveform[None] for one sample.")


def check_tensor(name: str, value: object, clamp: bool) -> None:
    """Raise unless a value is a tensor of floating-point or, where no output is clamped, complex numbers."""
    if not isinstance(value, Tensor):
        raise FamilyError(f"{name} is a {type(value).__name__}, expected a tensor. Pass torch.as_tensor({name}).")
    if not (value.is_floating_point() or value.is_complex()):
        raise DtypeError(
            f"{name} has dtype {value.dtype}; filters take floating-point numbers. Pass {name}.to(torch.float32), "
            "scaled as you need it."
        )
    if clamp and value.is_complex():
        raise DtypeError(f"{name} is {value.dtype}, and complex numbers cannot be clamped. Pass clamp=False.")


def check_pair(waveform: Tensor, a_coeffs: Tensor, b_coeffs: Tensor, clamp: bool, batching: bool) -> None:
    """Raise unless coefficients fit together, and a bank of them fits the waveform's channels."""
    check_tensor("a_coeffs", a_coeffs, clamp)
    check_tensor("b_coeffs", b_coeffs, clamp)
    shape, bank = tuple(waveform.shape), tuple(a_coeffs.shape)
    if a_coeffs.shape != b_coeffs.shape:
        raise ShapeError(
            f"a_coeffs has shape {bank} and b_coeffs has shape {tuple(b_coeffs.shape)}; they have the same shape. Pad "
            "the shorter one with zeros at its end."
        )
    if a_coeffs.ndim not in (1, 2) or bank[-1] == 0:
        raise ShapeError(
            f"coefficients have shape {bank}; they are (order + 1,) for one filter or (filters, order + 1) for a bank."
        )
    if batching and len(bank) == 2 and (len(shape) < 2 or shape[-2] != bank[0]):
        raise ShapeError(
            f"waveform has shape {shape} and there are {bank[0]} filters; with a bank it is (..., {bank[0]}, time), "
            "one channel for each filter. lfilter with batching=False gives every channel to all filters."
        )


def number_for(waveform: Tensor, name: str, value: float | Tensor) -> Tensor:
    """Return a number as a tensor without axes, in the waveform's precision (float32 for half types), on its device."""
    dtype = torch.promote_types(waveform.dtype, torch.float32)
    tensor = torch.as_tensor(value, dtype=dtype, device=waveform.device)
    if tensor.numel() != 1:
        raise ArgumentError(
            f"{name} has shape {tuple(tensor.shape)}; it is one number. For a bank of filters pass coefficients of "
            "shape (filters, order + 1) to lfilter."
        )
    return tensor.reshape(())
