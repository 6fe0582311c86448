"""Torch's exporter with the translations of the library's operators."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from os import PathLike
from typing import Any, TypeAlias

from ..errors import LibraryMissingError

__all__ = ["export", "translations"]

Translations: TypeAlias = dict[Any, Callable[..., Any]]

_WHAT_TO_DO = (
    "multirec.onnx translates recurrences of real numbers. Those with resets, lengths or cu_seqlens, with an "
    "activation inside (SRU, IndRNN, envelope), with coefficients at a frame rate, and complex ones (LRU) have no "
    "translation: call the model without such marks, on one sequence at a time, use a unit that is linear in its past "
    "outputs (SRU of version 1, MinGRU, QRNN), or save it by torch.export instead."
)


def translations() -> Translations:
    """Return how the library's operators are said in ONNX: a `custom_translation_table` of `torch.onnx.export`.

    Coefficients may be static, of each example or varying along time, of any order; real data types, every layout, both
    directions, states in and out, and sizes of batch and time that are known only later. What is computed in float32
    or float64 in torch is so in ONNX; rounding differs, since it adds in another order.

    Raises
    ------
    LibraryMissingError
        torch, onnx or onnxscript is not installed.

    Example
    -------
    >>> sorted(str(operator) for operator in translations())
    ['multirec.forward.default', 'multirec.recurrence.default']
    """
    missing = [name for name in ("torch", "onnx", "onnxscript") if find_spec(name) is None]
    if missing:
        raise LibraryMissingError(
            f"multirec.onnx needs {' and '.join(missing)}, which is not installed. Install what it needs with: "
            "pip install 'multirec-bank[torch,onnx]'"
        )
    import torch

    from ._recurrence import forward, recurrence

    operators = torch.ops.multirec
    return {operators.forward.default: forward, operators.recurrence.default: recurrence}


def export(model: Any, args: tuple[Any, ...] = (), path: str | PathLike[str] | None = None, **options: Any) -> Any:
    """Export a model that contains recurrences to ONNX: `torch.onnx.export` with the library's `translations`.

    Parameters
    ----------
    model
        A torch module, or a program of `torch.export.export`.
    args
        What the module is called with, once. A `multirec.State` among it becomes one input a part.
    path
        Of the file that is written; None writes none.
    options
        Of `torch.onnx.export`: `dynamic_shapes` says which sizes may change, `input_names` and `output_names` what
        inputs and outputs are called; a `custom_translation_table` is taken beside the library's.

    Returns
    -------
    torch.onnx.ONNXProgram
        The model, which `save` writes, too.

    Raises
    ------
    LibraryMissingError
        torch, onnx or onnxscript is not installed.
    torch.onnx.OnnxExporterError
        An operation of the model has no translation. A note on it says which recurrences have none.

    Example
    -------
    >>> from multirec import nn
    >>> import torch
    >>> bank = nn.FilterBank(8).freeze()
    >>> sizes = {0: torch.export.Dim("batch"), 1: torch.export.Dim("time")}
    >>> program = export(bank, (torch.randn(2, 100),), "bank.onnx", dynamic_shapes=(sizes,))  # doctest: +SKIP
    """
    table = translations() | (options.pop("custom_translation_table", None) or {})
    import torch

    try:
        return torch.onnx.export(model, args, path, dynamo=True, custom_translation_table=table, **options)
    except torch.onnx.OnnxExporterError as error:
        # of complex numbers torch has no translations before the recurrence is reached
        if "multirec." in str(error) or "complex" in str(error):
            error.add_note(_WHAT_TO_DO)
        raise
