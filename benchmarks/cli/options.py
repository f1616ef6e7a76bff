"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from tyro.conf import arg

Json = Annotated[Path | None, arg(metavar="FILE", help="write records as JSON to FILE ('-' for standard output)")]
Csv = Annotated[Path | None, arg(metavar="FILE", help="write records as CSV to FILE ('-' for standard output)")]
FigureFile = Annotated[Path | None, arg(metavar="FILE", help="draw it: .png, .svg or .pdf")]
Runs = Annotated[Path, arg(metavar="FOLDER", help="where results are kept and looked up")]
Workers = Annotated[int, arg(metavar="N", help="processes that simulate side by side")]
Model = Annotated[
    str,
    arg(
        metavar="MODEL",
        help="flan-t5-large, llama-7b, ..., a problem, a file of layer shapes, a config.json or folder of "
        "transformers, owner/name of a hub, or module:function",
    ),
]
MethodName = Annotated[str, arg(metavar="NAME", help="a method of `xbar methods`")]
HardwareName = Annotated[str, arg(metavar="NAME|TOML", help="the chip design")]
OwnHardware = Annotated[str | None, arg(metavar="NAME|TOML", help="the chip design; default: the problem's own")]
ProblemName = Annotated[str, arg(metavar="NAME|TOML", help="a problem of `xbar problem list`, or a file")]
ChangedShare = Annotated[
    float | None, arg(metavar="X", help="share of the trained cells rewritten per step; default: measured")
]

DEFAULT_HARDWARE = "milo2021_128x128"
DEFAULT_PROBLEM = "digits_vit"
STANDARD_OUTPUT = Path("-")
