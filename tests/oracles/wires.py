"""Slow, obvious twins of the wires: every node of the network explicit, and a netlist for ngspice."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.sparse as sparse
import scipy.sparse.linalg as sparse_linalg

Node = tuple[str, int, int]


@dataclass(frozen=True)
class Wires:
    """Ohm per segment and per terminal, as the arguments of `effective_conductance`."""

    word_line_resistance: float
    bit_line_resistance: float
    driver_resistance: float = 0.0
    sense_resistance: float = 0.0
    double_sided: bool = False
    open_columns: int = 0


def resistors(cells: np.ndarray, wires: Wires, tops: bool = False) -> Iterator[tuple[Node, Node, float]]:
    """Every resistor (two nodes, ohm): word-line nodes 'w', bit-line nodes 'b', terminals 'v' and 'o'.

    tops: each bit line's terminal reaches it from the upper end too, as drivers of a double-sided tile do.
    """
    rows, columns = cells.shape
    feed = wires.word_line_resistance + wires.driver_resistance
    for i in range(rows):
        yield ("v", i, 0), ("w", i, 0), feed
        for j in range(1, columns):
            yield ("w", i, j - 1), ("w", i, j), wires.word_line_resistance
        if wires.double_sided:
            beyond = feed + wires.open_columns * wires.word_line_resistance
            yield ("w", i, columns - 1), ("v", i, 0), beyond
        for j in range(columns):
            if cells[i, j] > 0:
                yield ("w", i, j), ("b", i, j), 1 / cells[i, j]
    for j in range(columns):
        for i in range(1, rows):
            yield ("b", i - 1, j), ("b", i, j), wires.bit_line_resistance
        yield ("b", rows - 1, j), ("o", j, 0), wires.bit_line_resistance + wires.sense_resistance
        if tops:
            yield ("o", j, 0), ("b", 0, j), wires.bit_line_resistance + wires.sense_resistance


def nodal_terminals(cells: np.ndarray, wires: Wires, tops: bool = False) -> np.ndarray:
    """Currents into the array per volt, between all terminals: (rows + columns) squared, word lines first."""
    rows, columns = cells.shape
    network = list(resistors(cells, wires, tops))
    leader: dict[Node, Node] = {}

    def find(node: Node) -> Node:
        while leader.setdefault(node, node) != node:
            node = leader[node]
        return node

    for a, b, ohm in network:
        if ohm == 0:  # one node; a terminal stays the one that leads
            keep, drop = (find(a), find(b)) if find(a)[0] in "vo" else (find(b), find(a))
            leader[drop] = keep
    terminals: list[Node] = [("v", i, 0) for i in range(rows)] + [("o", j, 0) for j in range(columns)]
    inner = {find(node) for a, b, _ in network for node in (a, b)} - set(terminals)
    number = {node: index for index, node in enumerate([*terminals, *sorted(inner)])}
    edges = [(number[find(a)], number[find(b)], ohm) for a, b, ohm in network if ohm > 0]
    if not edges:
        return np.zeros((len(terminals), len(terminals)))
    start, end = (np.array([edge[side] for edge in edges]) for side in (0, 1))
    siemens = 1 / np.array([edge[2] for edge in edges], np.longdouble)
    values = siemens.astype(float)
    laplacian = sparse.csc_matrix(
        (
            np.concatenate([values, values, -values, -values]),
            (np.concatenate([start, end, start, end]), np.concatenate([start, end, end, start])),
        ),
        shape=(len(number), len(number)),
    )
    outer = len(terminals)
    factor = sparse_linalg.splu(laplacian[outer:, outer:]) if inner else None
    voltages = np.eye(len(number), outer, dtype=np.longdouble)
    for _ in range(4):  # the first solves; the others refine, with the currents of every resistor in extended precision
        net = np.zeros_like(voltages)
        flow = siemens[:, None] * (voltages[start] - voltages[end])
        np.add.at(net, start, flow)
        np.subtract.at(net, end, flow)
        if factor is not None:
            voltages[outer:] -= factor.solve(net[outer:].astype(float))
    return net[:outer].astype(float)


def nodal_effective(cells: np.ndarray, wires: Wires) -> np.ndarray:
    """M (columns, rows): currents out of the sense terminals per volt on the word lines."""
    rows = len(cells)
    return -nodal_terminals(cells, wires)[rows:, :rows]


def ngspice_currents(
    cells: np.ndarray,
    wires: Wires,
    voltages: np.ndarray,
    folder: Path,
    transposed: bool = False,
    tops: bool = False,
    polynomial: Callable[[float], tuple[float, ...]] | None = None,
) -> np.ndarray:
    """Sensed currents (ampere) by ngspice's operating point; no resistance may be zero but those of the terminals.

    Rows are driven and columns sensed, or `transposed`. With `polynomial`, coefficients of V, V^2 ... by conductance,
    every cell is a behavioural current source instead of a resistor.
    """
    driven, sensed = ("o", "v") if transposed else ("v", "o")
    count = cells.shape[0 if transposed else 1]
    lines = ["* crossbar"]
    lines += [f"V{i} {driven}_{i}_0 0 {float(v)!r}" for i, v in enumerate(voltages)]
    lines += [f"Vs{j} {sensed}_{j}_0 0 0" for j in range(count)]
    for index, (a, b, ohm) in enumerate(resistors(cells, wires, tops)):
        names = ["_".join(map(str, node)) for node in (a, b)]
        if polynomial is not None and a[0] == "w" and b[0] == "b":
            volt = f"v({names[0]},{names[1]})"
            formula = "0"
            for coefficient in reversed(polynomial(cells[a[1], a[2]])):
                formula = f"{volt}*({float(coefficient)!r}+{formula})"
            lines.append(f"B{index} {names[0]} {names[1]} I={formula}")
        else:
            lines.append(f"R{index} {names[0]} {names[1]} {float(ohm)!r}")
    lines += [".options reltol=1e-9 abstol=1e-16 vntol=1e-13", ".control", "set numdgt=15", "op"]
    lines += [f"print i(vs{j})" for j in range(count)] + ["quit", ".endc", ".end"]
    path = folder / "crossbar.cir"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    run = subprocess.run(["ngspice", "-b", str(path)], capture_output=True, text=True, timeout=120, check=False)
    found = dict(re.findall(r"i\(vs(\d+)\)\s*=\s*([-\d.eE+]+)", run.stdout))
    assert len(found) == count, run.stdout[-500:] + run.stderr[-500:]
    return np.array([float(found[str(j)]) for j in range(count)])
