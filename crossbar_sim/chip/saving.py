"""A chip as files: `chip.json` and the safetensors file that it names hold all that decides what the chip does next.

The tensors are written first, under a name that has their digest; `chip.json` then replaces the one before. Whenever
the writing ends, the folder holds a whole chip: the old one or the new one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load, save

from crossbar_sim.cells.cells import Cells
from crossbar_sim.cells.counting import COUNTS
from crossbar_sim.chip.simulated import SimulatedMatrix
from crossbar_sim.hardware.hardware import Hardware
from crossbar_sim.ledger.ledger import Ledger
from crossbar_sim.mapping.kept_targets import FirstTargets
from crossbar_sim.mapping.layout import Layout
from crossbar_sim.reading.registers import Registers
from crossbar_sim.runtime.files import write_bytes, write_json
from crossbar_sim.spec.documents import check_safetensors, read_json
from crossbar_sim.spec.errors import FileError, MappingError, SpecError

FORMAT = 2
FACTS_FILE = "chip.json"
Tensors = dict[str, torch.Tensor]
DIRECTIONS = ("forward", "backward")


def write_chip(folder: Path, facts: Mapping[str, Any], tensors: Tensors) -> None:
    """Write both files; MappingError if the folder cannot be written."""
    content = save({name: tensor.contiguous() for name, tensor in tensors.items()})
    digest = hashlib.sha256(content).hexdigest()
    name = f"chip-{digest[:16]}.safetensors"
    whole = {"format": FORMAT, "tensors": name, "tensors_digest": digest, **facts}
    try:
        write_bytes(folder / name, content)
        write_json(folder / FACTS_FILE, {"digest": _digest(whole), **whole})
        for older in folder.glob("chip-*.safetensors"):
            if older.name != name:
                older.unlink()
    except (OSError, FileError) as error:
        raise MappingError(f"{folder}: no chip can be saved here ({error}); choose another folder") from error


def read_chip(folder: Path) -> tuple[dict[str, Any], Tensors]:
    """The facts and tensors of a saved chip. MappingError if it is not there, not whole, or of another format."""
    path = folder / FACTS_FILE
    if not path.exists():
        raise MappingError(f"{path} does not exist; give the folder that chip.save() wrote")
    try:
        facts = read_json(path)
    except SpecError as error:
        raise MappingError(f"{error}; save the chip again") from None
    if not isinstance(facts, dict) or facts.get("format") != FORMAT:
        raise MappingError(f"{path} is not a saved chip of format {FORMAT}; save the chip again with this version")
    stated = facts.pop("digest", None)
    if stated != _digest(facts):
        raise MappingError(f"{path} is damaged: its content is not what its digest says; save the chip again")
    return facts, _read_tensors(folder, facts)


def _read_tensors(folder: Path, facts: Mapping[str, Any]) -> Tensors:
    path = folder / Path(str(facts.get("tensors"))).name
    try:
        content = path.read_bytes()
    except OSError as error:
        raise MappingError(f"{path} cannot be read ({error.strerror}); the saved chip is not whole") from error
    if hashlib.sha256(content).hexdigest() != facts.get("tensors_digest"):
        raise MappingError(f"{path} is damaged: its content is not what {FACTS_FILE} says; save the chip again")
    try:
        check_safetensors(content, str(path))
        return load(content)
    except (SafetensorError, SpecError, ValueError) as error:
        raise MappingError(f"{path} is not safetensors ({error}); save the chip again") from error


def _digest(facts: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True, allow_nan=False).encode()).hexdigest()


def part_of(tensors: Tensors, prefix: str) -> Tensors:
    """Those whose name begins with `prefix`, by what follows it."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def with_prefix(prefix: str, tensors: Tensors) -> Tensors:
    """The same under names that begin with `prefix`."""
    return {f"{prefix}{name}": tensor for name, tensor in tensors.items()}


def matrix_facts(matrix: SimulatedMatrix) -> tuple[dict[str, Any], Tensors]:
    """All that decides what a matrix does next, besides its hardware and the seed of its chip."""
    targets, rows = matrix.targets, matrix.rows
    bill = matrix.bill
    cells, tensors = cells_facts(matrix.cells, rest=True)
    tensors |= {
        "master": matrix.master.detach().cpu().clone(),
        "scale": torch.from_numpy(targets.scale),
        "scale_of_tile": torch.from_numpy(np.ascontiguousarray(targets.of_tile)),
        "target": _stored(targets.kept.array),
        "row_of": torch.from_numpy(rows.row_of),
        "writes_at_move": torch.from_numpy(rows.writes_at_move),
    }
    tensors |= {f"programmed.{phase}": torch.from_numpy(sums) for phase, sums in bill.programmed.items()}
    registers = []
    for way, path in zip(DIRECTIONS, matrix.reads.paths, strict=True):
        one = path.registers
        if one.ranges is not None:
            tensors[f"ranges.{way}"] = torch.from_numpy(np.ascontiguousarray(one.ranges))
        registers.append([one.reads, one.full_drive, one.conversions, one.clipped, path.held])
    facts = {
        "name": matrix.name,
        "cells": cells,
        "row_operations": rows.operations,
        "registers": registers,
        "vectors": [[phase, back, count] for (phase, back), count in bill.vectors.items()],
        "programmed": list(bill.programmed),
        "trained": matrix.master.requires_grad,
        "keeps_factors": matrix.keeps_factors,
        "training": matrix.training,
    }
    return facts, tensors


def cells_facts(cells: Cells, rest: bool = False) -> tuple[dict[str, Any], Tensors]:
    """All that decides what cells do next, besides their device and their key. rest: their first targets are kept
    beside them, so that those at rest need nothing more."""
    resting = rest and cells.resting
    facts = {"clock": cells.clock, "samples": cells.samples, "array": list(cells.array), "resting": resting}
    arrays = {} if resting else cells.awake().arrays
    return facts, {f"cells.{name}": _stored(array) for name, array in arrays.items()}


def _stored(array: NDArray[Any]) -> torch.Tensor:
    """As a tensor of a type that every version of safetensors knows: whole numbers without a sign as those with one
    that hold them."""
    wider = {np.dtype(np.uint16): np.int32, np.dtype(np.uint32): np.int64}.get(array.dtype)
    return torch.from_numpy(array if wider is None else array.astype(wider))


def restored_matrix(
    hardware: Hardware, ledger: Ledger, seed: int, facts: Mapping[str, Any], tensors: Tensors
) -> SimulatedMatrix:
    """The matrix that had these facts; nothing is programmed. MappingError if they are not of such hardware."""
    name, master = str(facts["name"]), tensors["master"]
    outputs, inputs = master.shape
    cells, shape = tuple(tensors["target"].shape), Layout(hardware.tile, inputs, outputs).shape
    if cells != shape or master.dtype != torch.float32 or not bool(torch.isfinite(tensors["scale"]).all()):
        raise MappingError(f"{name}: {cells} cells are in the file, its hardware has {shape}; save the chip again")
    matrix = SimulatedMatrix(hardware, ledger, seed, name, master, np.ones(len(master)), program=False)
    targets, rows = matrix.targets, matrix.rows

    def taken(key: str, like: NDArray[Any]) -> NDArray[Any]:
        return _taken(f"{name}: {key}", tensors[key], like)

    matrix.rescale(taken("scale", targets.scale), taken("scale_of_tile", targets.of_tile))
    targets.kept.take(_unsigned(tensors["target"], targets.kept.array), f"{name}: target")
    rows.row_of, rows.writes_at_move = taken("row_of", rows.row_of), taken("writes_at_move", rows.writes_at_move)
    if not np.array_equal(np.sort(rows.row_of), np.arange(rows.row_of.size)):
        raise MappingError(f"{name}: every input of a matrix is on a row of its own; save the chip again")
    rows.operations = int(facts["row_operations"])
    restore_cells(matrix.cells, name, facts["cells"], tensors, targets.lend)
    for way, path, one in zip(DIRECTIONS, matrix.reads.paths, facts["registers"], strict=True):
        reads, full_drive, conversions, clipped, held = one
        key = f"ranges.{way}"
        path.registers = Registers(
            reads=int(reads),
            ranges=taken(key, path.largest_current) if key in tensors else None,
            full_drive=None if full_drive is None else float(full_drive),
            conversions=int(conversions),
            clipped=int(clipped),
        )
        path.held = bool(held)
    matrix.bill.vectors = {(str(phase), bool(back)): int(count) for phase, back, count in facts["vectors"]}
    matrix.bill.programmed = {str(phase): tensors[f"programmed.{phase}"].numpy() for phase in facts["programmed"]}
    matrix.master.requires_grad_(bool(facts["trained"]))
    matrix.keeps_factors = bool(facts["keeps_factors"])
    return matrix.train(bool(facts["training"]))


def restore_cells(
    cells: Cells,
    name: str,
    facts: Mapping[str, Any],
    tensors: Tensors,
    targets: Callable[[], FirstTargets] | None = None,
) -> None:
    """Have cells become what those were that had these facts; MappingError if they are of another kind. targets: the
    first ones that they had, where they rest."""
    clock, samples = float(facts["clock"]), int(facts["samples"])
    if targets is not None and facts["resting"]:
        cells.restore_resting(targets(), clock)
        if not cells.resting:
            raise MappingError(f"{name}: its cells cannot be made again from their targets; save the chip again")
        return
    arrays = {
        one: _counts(f"{name}: {one}", tensors[f"cells.{one}"], own)
        if one in COUNTS
        else _taken(f"{name}: {one}", tensors[f"cells.{one}"], own)
        for one, own in cells.arrays.items()
    }
    finite = ("conductance", "conductance_travel", "written_at")
    if not all(np.isfinite(arrays[one]).all() for one in finite if one in arrays):
        raise MappingError(f"{name}: the state of its cells is not finite; save the chip again")
    cells.restore(arrays, clock, samples)


def _unsigned(tensor: torch.Tensor, like: NDArray[Any]) -> NDArray[Any]:
    """What `_stored` stored, in the type of `like` where that holds it."""
    array: NDArray[Any] = tensor.numpy()
    widened = array.dtype != like.dtype and array.dtype == np.int32 and like.dtype == np.uint16
    fits = widened and array.min(initial=0) >= 0 and array.max(initial=0) <= np.iinfo(np.uint16).max
    return array.astype(like.dtype) if fits else array


def _counts(what: str, tensor: torch.Tensor, like: NDArray[Any]) -> NDArray[Any]:
    """Writes or pulses per cell, in whichever type they are counted."""
    array: NDArray[Any] = tensor.numpy()
    if array.shape != like.shape or array.dtype not in (np.int32, np.int64) or array.min(initial=0) < 0:
        raise MappingError(
            f"{what} is {array.dtype} {array.shape} in the file, its hardware counts on cells {like.shape} from zero; "
            "save the chip again"
        )
    return array


def _taken(what: str, tensor: torch.Tensor, like: NDArray[Any]) -> NDArray[Any]:
    array: NDArray[Any] = tensor.numpy()
    if array.shape != like.shape or array.dtype != like.dtype:
        raise MappingError(
            f"{what} is {array.dtype} {array.shape} in the file, its hardware has {like.dtype} {like.shape}; save the "
            "chip again"
        )
    return array
