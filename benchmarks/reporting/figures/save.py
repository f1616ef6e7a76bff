"""Figures as files: SVG, PNG or PDF, whole or not at all."""

from __future__ import annotations

import io
from pathlib import Path

from matplotlib.figure import Figure

from benchmarks.reporting.figures.style import style, svg
from crossbar_sim import SpecError
from crossbar_sim.runtime.files import write_bytes, write_text

DOTS_PER_INCH = 200


def save(path: str | Path, figure: Figure) -> Path:
    """Write a figure in the format of the path's ending; SpecError for another ending."""
    path = Path(path)
    kind = path.suffix.lower()
    if kind == ".svg":
        write_text(path, svg(figure))
    elif kind in (".png", ".pdf"):
        buffer = io.BytesIO()
        with style():
            figure.savefig(buffer, format=kind[1:], dpi=DOTS_PER_INCH, facecolor="white")
        write_bytes(path, buffer.getvalue())
    else:
        raise SpecError(f"{path}: figures are written as .svg, .png or .pdf; choose one of these endings")
    return path
