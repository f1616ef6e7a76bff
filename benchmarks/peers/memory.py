"""`python -m benchmarks.peers.memory`: what a chip keeps per weight, array by array, and what the process takes."""

from __future__ import annotations

import gc
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Annotated, Any, Literal

import numpy as np
import torch
import tyro
from torch import nn
from tyro.conf import arg

from benchmarks.record import Record
from crossbar_sim import Chip, map_model
from crossbar_sim.runtime.files import write_json
from peft_methods import FullFineTuning, LoRA
from peft_methods.base import Adapter

Shape = Literal["stack", "minilm", "smollm2"]
KINDS = (str, bytes, int, float, complex, type, FunctionType, ModuleType)
"""What holds no arrays of a chip."""


class Held(Record):
    """Arrays of one kind that a chip holds."""

    name: str
    """Attribute, key or place at which they were found."""
    dtype: str
    """Type of their numbers."""
    arrays: int
    """How many."""
    bytes_per_weight: float
    """Of all of them."""


class Memory(Record):
    """What one model takes on a chip."""

    shape: str
    """Which model."""
    hardware: str
    """Its tiles."""
    weights: int
    """On tiles."""
    trained: str
    """What was trained for one step: nothing, LoRA or all."""
    bytes_per_weight: float
    """Of all arrays that the chip holds; not of the digital model, gradients and the optimizer."""
    held: list[Held]
    """These arrays, the largest first."""
    map_seconds: float
    """Processor time of map_model."""
    before_bytes: int
    """Resident memory of the process before mapping, with the digital model."""
    after_bytes: int
    """After the step, or the read where nothing is trained."""
    peak_bytes: int
    """The most that was resident until then."""


class Block(nn.Module):
    """A transformer block in what is of interest here: its matrices."""

    def __init__(self, width: int, inner: int, key_width: int, gated: bool) -> None:
        super().__init__()
        self.query, self.output = nn.Linear(width, width, bias=False), nn.Linear(width, width, bias=False)
        self.key, self.value = nn.Linear(width, key_width, bias=False), nn.Linear(width, key_width, bias=False)
        self.gate = nn.Linear(width, inner, bias=False) if gated else None
        self.up, self.down = nn.Linear(width, inner, bias=False), nn.Linear(inner, width, bias=False)
        self.repeats = width // key_width

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x (samples, positions, width), every position alone."""
        value = self.value(x).repeat(1, 1, self.repeats)
        x = x + self.output(torch.tanh(self.query(x) + self.key(x).repeat(1, 1, self.repeats)) * value)
        hidden = self.up(x) if self.gate is None else torch.sigmoid(self.gate(x)) * self.up(x)
        y: torch.Tensor = nn.functional.layer_norm(x + self.down(torch.relu(hidden)), x.shape[-1:])
        return y


class Stack(nn.Module):
    """Embeddings, blocks and a head of random numbers. tied: the head has the numbers of the embeddings."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        words, width, inner, key_width, blocks, gated = {
            "stack": (1000, 512, 2048, 512, 3, False),
            "minilm": (30522, 384, 1536, 384, 6, False),
            "smollm2": (49152, 576, 1536, 192, 30, True),
        }[shape]
        self.words = nn.Embedding(words, width)
        self.blocks = nn.ModuleList(Block(width, inner, key_width, gated) for _ in range(blocks))
        self.lm_head = nn.Linear(width, words if shape == "smollm2" else 6, bias=False)
        if shape == "smollm2":
            self.lm_head.weight = self.words.weight

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """tokens (samples, positions) -> (samples, positions, classes)."""
        x = self.words(tokens)
        for block in self.blocks:
            x = block(x)
        y: torch.Tensor = self.lm_head(x)
        return y


def main(
    shape: Annotated[Shape, arg(help="matrices of which model, with random numbers")] = "stack",
    hardware: Annotated[str, arg(metavar="NAME", help="the tiles")] = "milo2021_128x128",
    train: Annotated[Literal["nothing", "lora", "all"], arg(help="what takes one step of 4 x 64 tokens")] = "nothing",
    json: Annotated[Path | None, arg(metavar="FILE", help="write the record as JSON")] = None,
) -> None:
    """Map a model, let it take one step or, without training, one read, and list what it holds."""
    record = measured(shape, hardware, train)
    print(table(record))
    if json is not None:
        write_json(json, record.as_json())


def measured(shape: Shape, hardware: str, train: Literal["nothing", "lora", "all"]) -> Memory:
    """The record of one model, in this process: its peak is that of all that the process did before, too."""
    torch.manual_seed(0)
    model = Stack(shape)
    before, started = resident(), time.process_time()
    chip = map_model(model, hardware, target=["*"], exclude=[])
    seconds = time.process_time() - started
    tokens = torch.randint(model.words.num_embeddings, (4, 64))
    backbone = sum(matrix.master.numel() for matrix in chip.matrices.values())
    adapter = None
    if train == "nothing":
        with torch.no_grad():
            model(tokens)
    else:
        adapter = _step(model, chip, tokens, train)
    gc.collect()
    arrays, after = held(chip, backbone), resident()
    return Memory(
        shape=shape,
        hardware=hardware,
        weights=backbone,
        trained=train if adapter is None else adapter.method.display_name,
        bytes_per_weight=sum(one.bytes_per_weight for one in arrays),
        held=arrays,
        map_seconds=seconds,
        before_bytes=before,
        after_bytes=after,
        peak_bytes=max(peak(), before, after),  # the system's own peak lags behind by some pages
    )


def _step(model: Stack, chip: Chip, tokens: torch.Tensor, train: Literal["lora", "all"]) -> Adapter:
    """One training step: forward, backward, the optimizer, and the cells."""
    method = LoRA(rank=8, targets=("query", "value")) if train == "lora" else FullFineTuning()
    adapter = method.attach(model, chip)
    optimizer = torch.optim.SGD(adapter.trained_parameters(), lr=1e-2)
    logits = model(tokens).flatten(0, 1)
    wanted = tokens.flatten() % logits.shape[1]
    nn.functional.cross_entropy(logits, wanted).backward()
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    with chip.ledger.phase("adapt/update"):
        adapter.write()
    return adapter


def held(chip: Chip, weights: int) -> list[Held]:
    """All arrays that can be reached from the matrices of a chip, each memory once, the largest first."""
    found: dict[tuple[str, str], list[int]] = {}
    for name, array in arrays_of(list(chip.matrices.values())):
        found.setdefault((name, str(array.dtype)), []).append(array.nbytes)
    listed = [
        Held(name=name, dtype=dtype, arrays=len(sizes), bytes_per_weight=sum(sizes) / weights)
        for (name, dtype), sizes in found.items()
    ]
    return sorted(listed, key=lambda one: -one.bytes_per_weight)


def arrays_of(root: object) -> Iterator[tuple[str, np.ndarray[Any, Any]]]:
    """Arrays with memory of their own that can be reached from an object, with the name that each was found under."""
    seen: set[int] = set()
    memory: set[int] = set()
    waiting: list[tuple[str, Any]] = [("", root)]
    while waiting:
        name, one = waiting.pop()
        if isinstance(one, torch.Tensor):
            one = one.detach().numpy()
        while isinstance(one, np.ndarray) and isinstance(one.base, np.ndarray):
            one = one.base
        if isinstance(one, np.ndarray):
            at = one.__array_interface__["data"][0]
            if at not in memory and any(one.strides):
                memory.add(at)
                yield name, one
        elif not isinstance(one, KINDS) and id(one) not in seen:
            seen.add(id(one))
            waiting += _parts(name, one)


def _parts(name: str, one: Any) -> list[tuple[str, Any]]:
    if isinstance(one, dict):
        parts = [(key if isinstance(key, str) else name, value) for key, value in one.items()]
        return parts + [(name, key) for key in one if not isinstance(key, KINDS)]
    if isinstance(one, tuple) and hasattr(one, "_asdict"):
        return list(one._asdict().items())
    if isinstance(one, list | tuple | set | frozenset):
        return [(name, value) for value in one]
    # functions, bound methods and closures hold objects without naming them
    attributes = getattr(one, "__dict__", None)
    inside = list(attributes.items()) if isinstance(attributes, dict) else []
    known = {id(value) for _, value in inside}
    return inside + [(name, part) for part in gc.get_referents(one) if id(part) not in known]


def resident() -> int:
    """Bytes of this process that are in memory now."""
    status = Path("/proc/self/status")
    if not status.is_file():
        return peak()
    (line,) = [line for line in status.read_text().splitlines() if line.startswith("VmRSS:")]
    return int(line.split()[1]) * 1024


def peak() -> int:
    """The most bytes of this process that ever were."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def table(record: Memory) -> str:
    """A Markdown table of the arrays, and one line about the process."""
    lines = [
        f"| {record.shape}, {record.weights / 1e6:.1f} M weights on {record.hardware}, trained: {record.trained} "
        "| type | arrays | bytes per weight |",
        "|---|---|---|---|",
    ]
    for one in record.held:
        if one.bytes_per_weight >= 0.05:
            lines.append(f"| {one.name} | {one.dtype} | {one.arrays} | {one.bytes_per_weight:.2f} |")
    lines += [
        f"| all | | | {record.bytes_per_weight:.1f} |",
        "",
        f"mapped in {record.map_seconds:.1f} s of processor time; resident before {record.before_bytes / 1e9:.2f} GB, "
        f"after {record.after_bytes / 1e9:.2f} GB, at most {record.peak_bytes / 1e9:.2f} GB",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    tyro.cli(main, prog="python -m benchmarks.peers.memory")
