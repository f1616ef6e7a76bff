"""Figure of a floor plan: every tile with the part of it that holds weights, or bars where there are too many tiles."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from benchmarks.estimates.floor_plan import ROLES, Block, FloorPlan
from benchmarks.reporting.figures.style import FAINT, INK, PAGE, UNUSED, new_figure, style
from peft_methods.model_parts import block_of

COLOURS = {"backbone": "#88CCEE", "pool": "#117733", "trained": "#CC6677"}
LEGEND = {"backbone": "model", "pool": "frozen, added by the method", "trained": "rewritten in training"}
MOST_TILES = 400  # that are drawn one by one
GAP = 0.6  # tiles between two matrices
ACROSS = 26  # tiles side by side


def floor_plan_figure(plan: FloorPlan) -> Figure:
    """The tiles of a small plan one by one, of a large one as bars per transformer block."""
    return tile_map(plan) if plan.tiles() <= MOST_TILES else bars(plan)


def tile_map(plan: FloorPlan) -> Figure:
    """One square per tile, the matrices side by side in the order of the model; inputs run down, outputs across."""
    placed, height = shelves(plan.blocks)
    tile = plan.hardware.tile
    with style():
        figure = new_figure("floor-plan", PAGE, 0.75 + PAGE * height / ACROSS)
        axes = figure.subplots()
        for block, left, top in placed:
            for row in range(block.down):
                rows = min(1.0, block.inputs / tile.rows - row)
                for column in range(block.across):
                    columns = min(1.0, block.outputs / tile.outputs - column)
                    corner = left + column, top + row
                    axes.add_patch(Rectangle(corner, 1, 1, facecolor=UNUSED, edgecolor="none"))
                    axes.add_patch(Rectangle(corner, columns, rows, facecolor=COLOURS[block.role], edgecolor="none"))
                    if block.tiles > 1:
                        axes.add_patch(Rectangle(corner, 1, 1, fill=False, edgecolor="white", linewidth=0.8))
            axes.add_patch(Rectangle((left, top), block.across, block.down, fill=False, edgecolor=INK, linewidth=0.6))
        axes.set_xlim(-0.1, ACROSS + 0.1)
        axes.set_ylim(height, -0.1)
        axes.set_aspect("equal")
        axes.axis("off")
        title(axes, plan)
        legend(figure, plan)
    return figure


def bars(plan: FloorPlan) -> Figure:
    """Tiles per transformer block, stacked by role."""
    groups: dict[str, dict[str, int]] = {}
    for block in plan.blocks:
        parts = groups.setdefault(block_of(block.name) or "outside", dict.fromkeys(ROLES, 0))
        parts[block.role] += block.tiles
    with style():
        figure = new_figure("floor-plan", PAGE, 2.6)
        axes = figure.subplots()
        base = [0] * len(groups)
        for role in ROLES:
            heights = [parts[role] for parts in groups.values()]
            if any(heights):
                axes.bar(range(len(groups)), heights, bottom=base, color=COLOURS[role], width=0.85)
            base = [below + more for below, more in zip(base, heights, strict=True)]
        every = -(-len(groups) // 12)
        axes.set_xticks(range(0, len(groups), every), list(groups)[::every], rotation=30, ha="right")
        axes.set_ylabel("tiles")
        axes.set_xlim(-0.7, len(groups) - 0.3)
        title(axes, plan)
        legend(figure, plan)
    return figure


def shelves(blocks: Sequence[Block]) -> tuple[list[tuple[Block, float, float]], float]:
    """Every block with the left and top edge of its place, and the height of all; a full shelf starts the next."""
    placed: list[tuple[Block, float, float]] = []
    left = top = tallest = 0.0
    for block in blocks:
        if left and left + block.across > ACROSS:
            left = 0.0
            top += tallest + GAP
            tallest = 0.0
        placed.append((block, left, top))
        left, tallest = left + block.across + GAP, max(tallest, float(block.down))
    return placed, top + tallest + 0.1


def title(axes: Axes, plan: FloorPlan) -> None:
    """What is drawn, with its totals."""
    tile = plan.hardware.tile
    axes.set_title(
        f"{plan.method} on {plan.model}: {plan.tiles():,} tiles of {tile.rows} × {tile.columns} cells, "
        f"{plan.utilisation() or 0:.0%} used"
    )


def legend(figure: Figure, plan: FloorPlan) -> None:
    """The roles that occur, and the cells that hold nothing."""
    handles = [Patch(facecolor=COLOURS[role], label=LEGEND[role]) for role in ROLES if plan.tiles(role)]
    if plan.tiles() <= MOST_TILES:
        handles.append(Patch(facecolor=UNUSED, edgecolor=FAINT, linewidth=0.3, label="unused cells"))
    figure.legend(handles=handles, loc="outside lower center", ncols=4)
