"""Tables as aligned text for the terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence


def aligned(rows: Sequence[dict[str, str]]) -> str:
    """Rows of texts under their headings, which are broken into lines; names of methods and hardware to the left."""
    cells = {name: [row.get(name, "") for row in rows] for row in rows for name in row}
    widths = {name: max(map(len, [*column, *name.split()])) for name, column in cells.items()}
    heads = {name: textwrap.wrap(name, widths[name], break_on_hyphens=False) for name in cells}
    height = max(map(len, heads.values()))
    lines = [
        {name: ([""] * (height - len(head)) + head)[line] for name, head in heads.items()} for line in range(height)
    ]
    lines += [{name: "-" * width for name, width in widths.items()}]
    lines += [{name: column[place] for name, column in cells.items()} for place in range(len(rows))]
    left = ("method", "hardware")
    return "\n".join(
        "  ".join(f"{line[n]:{'<' if n in left else '>'}{widths[n]}}" for n in widths).rstrip() for line in lines
    )
