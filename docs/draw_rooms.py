"""Draws docs/rooms.svg from the imports in the source: `python -m docs.draw_rooms`, run by `make docs`.

A room is a folder of a package, or a file that stands beside the folders. A room stands above every room that it
imports; an arrow that can be reached over others is left out.
"""

from __future__ import annotations

import ast
from html import escape
from itertools import pairwise
from pathlib import Path
from textwrap import wrap
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
PICTURE = ROOT / "docs" / "rooms.svg"
STOREYS = ("benchmarks", "peft_methods", "crossbar_sim")
TITLES = {"benchmarks": "QUESTIONS", "peft_methods": "METHODS", "crossbar_sim": "HARDWARE"}
COLOURS = {
    "benchmarks": ("#e4f1e7", "#3c7a4d"),
    "peft_methods": ("#efe8f6", "#6b4a94"),
    "crossbar_sim": ("#e3edf7", "#34608f"),
}
WIDTH = 1040
ROOM_WIDTH, ROOM_HEIGHT = 190, 50
FLOOR = 84  # pixels from one floor to the next
TOP = 44  # pixels of a storey above its highest floor
ARROW = '<marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="6" markerHeight="6" orient="auto">'

Room = tuple[str, str]
"""Package and room."""


class Place(NamedTuple):
    """Where the middle of a room is drawn."""

    x: float
    """pixels from the left."""
    y: float
    """pixels from the top."""


def room_of(module: str) -> Room | None:
    """The room of a dotted module name; None for the package itself and for what is not of the project."""
    package, _, rest = module.partition(".")
    return (package, rest.split(".")[0]) if package in STOREYS and rest else None


def imported(path: Path) -> set[str]:
    """Every module that a file imports, wherever in the file."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    return found


def homes(package: str) -> dict[str, str]:
    """Where the names come from that a package gives away in its root: name to module."""
    tree = ast.parse((ROOT / package / "__init__.py").read_text(encoding="utf-8"))
    return {
        alias.asname or alias.name: node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module
        for alias in node.names
    }


def house() -> dict[Room, set[Room]]:
    """Every room, and the rooms that it imports."""
    given = {f"{package}.{name}": module for package in STOREYS for name, module in homes(package).items()}
    rooms: dict[Room, set[Room]] = {}
    for package in STOREYS:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            here = room_of(".".join(parts))
            if here is None or parts[1].startswith("__"):
                continue
            found = {room_of(given.get(name, name)) for name in imported(path)}
            rooms.setdefault(here, set()).update(room for room in found if room is not None and room != here)
    real = {(package, name) for package, name in rooms if (ROOT / package / name).is_dir()} | {
        (package, name) for package, name in rooms if (ROOT / package / f"{name}.py").is_file()
    }
    return {room: {target for target in targets if target in real} for room, targets in rooms.items() if room in real}


def floors(rooms: dict[Room, set[Room]]) -> dict[Room, int]:
    """The floor of every room in its storey, 0 at the bottom; ValueError names a circle of rooms."""
    found: dict[Room, int] = {}

    def floor(room: Room, path: tuple[Room, ...]) -> int:
        if room in path:
            raise ValueError(f"rooms import each other: {' -> '.join(name for _, name in (*path, room))}")
        if room not in found:
            below = [floor(target, (*path, room)) for target in rooms[room] if target[0] == room[0]]
            found[room] = max(below, default=-1) + 1
        return found[room]

    for room in rooms:
        floor(room, ())
    return found


def upward(rooms: dict[Room, set[Room]]) -> list[tuple[Room, Room]]:
    """Imports from a storey to one above it."""
    return [
        (room, target)
        for room, targets in rooms.items()
        for target in targets
        if STOREYS.index(target[0]) < STOREYS.index(room[0])
    ]


def arrows(rooms: dict[Room, set[Room]], package: str) -> list[tuple[Room, Room]]:
    """The imports inside a storey that cannot be reached over others."""
    inside = {
        room: {target for target in targets if target[0] == package}
        for room, targets in rooms.items()
        if room[0] == package
    }

    def reached(room: Room) -> set[Room]:
        return inside[room].union(*(reached(target) for target in inside[room]))

    return [
        (room, target)
        for room in inside
        for target in sorted(inside[room])
        if not any(target in reached(other) for other in inside[room] - {target})
    ]


def purpose(room: Room) -> str:
    """The first sentence of a room's docstring."""
    folder = ROOT / room[0] / room[1]
    path = folder / "__init__.py" if folder.is_dir() else folder.with_suffix(".py")
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return " ".join(text.split("\n\n")[0].split()).replace("`", "").split(". ")[0].rstrip(".")


def places(rooms: list[Room], level: dict[Room, int], top: float) -> dict[Room, Place]:
    """Where the rooms of one storey are drawn; rooms of one floor stand side by side."""
    highest = max(level[room] for room in rooms)
    found: dict[Room, Place] = {}
    for number in range(highest + 1):
        row = sorted(room for room in rooms if level[room] == number)
        step = min(ROOM_WIDTH + 40, (WIDTH - 80 - ROOM_WIDTH) / max(len(row) - 1, 1))
        shift = (60 if number % 2 else -60) if len(row) <= 2 else 0
        for index, room in enumerate(row):
            x = WIDTH / 2 + (index - (len(row) - 1) / 2) * step + shift
            found[room] = Place(x, top + TOP + (highest - number) * FLOOR + ROOM_HEIGHT / 2)
    return found


def drawn_room(room: Room, place: Place) -> list[str]:
    """A room: its name and what it is for."""
    fill, ink = COLOURS[room[0]]
    left, upper = place.x - ROOM_WIDTH / 2, place.y - ROOM_HEIGHT / 2
    lines = wrap(purpose(room), 42)
    lines = [*lines[:2], *([] if len(lines) < 3 else ["…"])][:2] if len(lines) < 3 else [lines[0], f"{lines[1]} …"]
    box = f'x="{left:.0f}" y="{upper:.0f}" width="{ROOM_WIDTH}" height="{ROOM_HEIGHT}" rx="6"'
    return [
        f'<rect {box} fill="{fill}" stroke="{ink}"><title>{escape(purpose(room))}</title></rect>',
        f'<text x="{place.x:.0f}" y="{upper + 17:.0f}" class="name">{escape(room[1])}</text>',
        *(
            f'<text x="{place.x:.0f}" y="{upper + 30 + 11 * number:.0f}" class="note">{escape(line)}</text>'
            for number, line in enumerate(lines)
        ),
    ]


def drawn_arrow(start: Place, end: Place, ink: str) -> str:
    """An arrow from the bottom of a room to the top of one below it."""
    upper, lower = start.y + ROOM_HEIGHT / 2, end.y - ROOM_HEIGHT / 2
    bend = (lower - upper) / 2
    path = f"M{start.x:.0f},{upper:.0f} C{start.x:.0f},{upper + bend:.0f} {end.x:.0f},{lower - bend:.0f}"
    return f'<path d="{path} {end.x:.0f},{lower:.0f}" stroke="{ink}" class="arrow" marker-end="url(#tip)"/>'


def picture(rooms: dict[Room, set[Room]]) -> str:
    """The house as SVG."""
    level = floors(rooms)
    frames: list[str] = []
    lines: list[str] = []
    boxes: list[str] = []
    top = 10.0
    bottoms: list[float] = []
    for package in STOREYS:
        mine = [room for room in rooms if room[0] == package]
        at = places(mine, level, top)
        _, ink = COLOURS[package]
        height = TOP + (max(level[room] for room in mine) + 1) * FLOOR
        frames.append(
            f'<rect x="10" y="{top:.0f}" width="{WIDTH - 20}" height="{height}" rx="10" fill="white" stroke="{ink}"/>'
            f'<text x="26" y="{top + 24:.0f}" class="storey" fill="{ink}">{package}: {TITLES[package]}</text>'
        )
        lines += [drawn_arrow(at[room], at[target], ink) for room, target in arrows(rooms, package)]
        boxes += [part for room in mine for part in drawn_room(room, at[room])]
        bottoms += [top, top + height]
        top += height + 30
    for upper, lower in pairwise(bottoms[1:-1]):
        if lower - upper == 30:
            path = f"M{WIDTH / 2},{upper:.0f} L{WIDTH / 2},{lower:.0f}"
            lines.append(f'<path d="{path}" stroke="#333" stroke-width="3" marker-end="url(#tip)"/>')
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top - 20:.0f}">',
            "<style>text{font-family:sans-serif;text-anchor:middle;fill:#1a1a1a}.name{font-size:13px;font-weight:bold}"
            ".note{font-size:8.5px}.storey{font-size:15px;font-weight:bold;text-anchor:start}"
            ".arrow{fill:none;stroke-width:1.2;opacity:0.75}</style>",
            f'<defs>{ARROW}<path d="M0,0 L8,4 L0,8 z" fill="#333"/></marker></defs>',
            f'<rect width="{WIDTH}" height="{top - 20:.0f}" fill="white"/>',
            *frames,
            *lines,
            *boxes,
            "</svg>\n",
        ]
    )


if __name__ == "__main__":
    PICTURE.write_text(picture(house()), encoding="utf-8")
