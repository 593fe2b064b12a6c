"""`tintype export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

Precision = Literal["fp32", "fp16"]  # tintype.inference.onnx_export's, which would have to be imported


def export(
    onnx: Annotated[Path, typer.Option(metavar="FILE", help="File to write; an existing one is replaced.")],
    model: Annotated[
        str, typer.Option(help="models:/NAME@ALIAS, models:/NAME/VERSION, a run's id, or a folder of weights.")
    ] = "models:/colorizer@champion",
    precision: Annotated[
        Precision, typer.Option(help="Precision of the stored weights; fp16 halves the file.")
    ] = "fp32",
) -> None:
    """Write a model as one file that colorizes without torch: `tintype colorize --model FILE ...`.

    Its network takes photos of any size, any number at a time. It is compared with the original before it is written.
    It computes in float32, whatever the precision of its weights, and so runs anywhere.
    """
    from tintype.errors import UserError
    from tintype.inference.model_names import find_model

    if onnx.suffix != ".onnx":
        raise UserError(f"--onnx {onnx}: allowed: a name that ends in .onnx")
    located = find_model(model)
    if not located.path.is_dir():
        raise UserError(f"--model {model}: is no folder of weights; allowed: one, or a registered model")
    try:
        from tintype.inference.onnx_export import export_onnx
    except ImportError as error:
        raise UserError(f"export: {error.name} is not installed; pip install 'tintype[export]'") from None
    difference = export_onnx(located.path, onnx, name=located.name, precision=precision)
    size = onnx.stat().st_size / 1e6
    typer.echo(f"{onnx}: {located.name}, {size:.1f} MB; differs from torch by {difference:.0e} Lab units at most")
