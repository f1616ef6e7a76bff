"""A pool: pre-trained LoRA modules that are mixed, not retrained.

Members are brought to one rank and one scaling when the pool is made. Neither changes any member's scaling B A, so a
method may mix the A's and the B's of different members.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from crossbar_sim.spec.spec import nearest
from peft_methods.checkpoints.lora import load_lora
from peft_methods.checkpoints.weights import LoRAWeights, pad_rank
from peft_methods.errors import PoolError


@dataclass(frozen=True, eq=False, repr=False)
class Pool:
    """An ordered set of N LoRA adapters that target the same modules with the same shapes.

    Members keep the caller's order. Smaller ranks are zero-padded to the largest; smaller scalings are folded into B,
    so the pool has the largest member's scaling. PoolError if members disagree in modules or shapes, share a name, or
    carry DoRA magnitudes.
    """

    members: tuple[LoRAWeights, ...]

    def __post_init__(self) -> None:
        members = tuple(self.members)
        if not members:
            raise PoolError("a pool needs at least one LoRA module; none was given")
        for index, member in enumerate(members):
            if member.name in (earlier.name for earlier in members[:index]):
                raise PoolError(f"two members are called {member.name!r}; rename one of them")
            if member.magnitude is not None:
                raise PoolError(
                    f"member {member.name!r} has DoRA magnitudes, which a pool cannot mix; train it with plain LoRA"
                )
            _check_agreement(members[0], member)
        rank = max(member.rank for member in members)
        scaling = max(member.scaling for member in members)
        unified = tuple(_unify(member, rank, scaling) for member in members)
        object.__setattr__(self, "members", unified)

    @classmethod
    def load(cls, folder: str | Path) -> Pool:
        """The adapters in the sub-folders of `folder`, sorted by name; hidden folders are skipped."""
        folder = Path(folder)
        if not _is_folder(folder):
            raise PoolError(f"{folder} is not a folder; give one that has a sub-folder for every adapter")
        folders = sorted(entry for entry in folder.iterdir() if entry.is_dir() and entry.name[0] != ".")
        if not folders:
            raise PoolError(f"{folder} has no sub-folders; save one adapter in each with save_lora")
        return cls(tuple(load_lora(entry) for entry in folders))

    def __repr__(self) -> str:
        return f"Pool of rank {self.rank}: {', '.join(self.names)}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Pool) and self.digest() == other.digest()

    def __hash__(self) -> int:
        return hash(self.digest())

    def __len__(self) -> int:
        return len(self.members)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the members, in pool order."""
        return tuple(member.name for member in self.members)

    @property
    def rank(self) -> int:
        """The common rank r."""
        return self.members[0].rank

    @property
    def scaling(self) -> float:
        """The common factor in front of B A."""
        return max(member.scaling for member in self.members)

    @property
    def modules(self) -> tuple[str, ...]:
        """Names of the targeted modules; block 2 comes before block 10."""
        return tuple(sorted(self.members[0].a, key=_natural))

    def shape_of(self, module: str) -> tuple[int, int]:
        """(d_out, d_in) of the layer that `module` changes."""
        self._check_module(module)
        return self.members[0].b[module].shape[0], self.members[0].a[module].shape[1]

    def stacked_a(self, module: str) -> Tensor:
        """All A of `module` on top of each other, (N rank, d_in): one tile read gives every A_i x."""
        self._check_module(module)
        return torch.cat([member.a[module] for member in self.members], dim=0)

    def stacked_b(self, module: str) -> Tensor:
        """All B of `module` side by side, (d_out, N rank): one tile read sums B_i h_i over members."""
        self._check_module(module)
        return torch.cat([member.b[module] for member in self.members], dim=1)

    def digest(self) -> str:
        """SHA-256 over names, order, rank, scaling and every weight; equal pools have equal digests."""
        total = hashlib.sha256()
        header = [self.names, self.rank, self.scaling, self.modules]
        total.update(json.dumps(header).encode())
        for member in self.members:
            for module in self.modules:
                for factor in (member.a[module], member.b[module]):
                    total.update(f"{tuple(factor.shape)} {factor.dtype}".encode())
                    total.update(factor.detach().cpu().contiguous().numpy().tobytes())
        return total.hexdigest()

    def _check_module(self, module: str) -> None:
        if module not in self.members[0].a:
            raise PoolError(f"the pool has no module {module!r}; it has {', '.join(self.modules)}")


SHELVES: list[Path] = []
"""Folders of pools that ship with some package."""


def add_pools(folder: str | Path) -> None:
    """Let the pools in the sub-folders of `folder` be found by name (`LoRAFusion(pool="digits_vit")`)."""
    if Path(folder) not in SHELVES:
        SHELVES.append(Path(folder))


def pool_folder(name: str | Path) -> Path:
    """The folder of a pool that ships under this name, or of that path; PoolError if there is neither."""
    name = str(name)
    for shelf in SHELVES:
        if "/" not in name and _is_folder(shelf / name):
            return shelf / name
    if not _is_folder(Path(name)):
        known = sorted(entry.name for shelf in SHELVES for entry in shelf.iterdir() if entry.is_dir())
        raise PoolError(f"{name} is not a folder, and no pool of that name ships{nearest(name, known)}")
    return Path(name)


def find_pool(name: str | Path) -> Pool:
    """The pool of that name or folder."""
    return Pool.load(pool_folder(name))


def _is_folder(path: Path) -> bool:
    """Whether it is there and a folder; a name that no file system takes is not."""
    try:
        return path.is_dir()
    except OSError:
        return False


def _check_agreement(first: LoRAWeights, member: LoRAWeights) -> None:
    for module in sorted(set(first.a) ^ set(member.a), key=_natural):
        has, lacks = (first, member) if module in first.a else (member, first)
        raise PoolError(
            f"member {has.name!r} targets module {module!r} but member {lacks.name!r} does not; all members must "
            "target the same modules"
        )
    for module in sorted(first.a, key=_natural):
        expected = (first.b[module].shape[0], first.a[module].shape[1])
        found = (member.b[module].shape[0], member.a[module].shape[1])
        if expected != found:
            raise PoolError(
                f"module {module!r} is {expected[0]} x {expected[1]} (out x in) in member {first.name!r} but "
                f"{found[0]} x {found[1]} in member {member.name!r}; all members must be trained on the same backbone"
            )


def _unify(member: LoRAWeights, rank: int, scaling: float) -> LoRAWeights:
    """`member` at the given rank and scaling, with the same scaling B A."""
    if member.rank == rank and member.scaling == scaling:
        return member
    padded = {module: pad_rank(member.a[module], member.b[module], rank) for module in member.a}
    fold = member.scaling / scaling
    return replace(
        member,
        rank=rank,
        alpha=scaling * rank,
        a={module: a for module, (a, _) in padded.items()},
        b={module: b * fold for module, (_, b) in padded.items()},
    )


def _natural(module: str) -> list[tuple[int, int, str]]:
    """Sort key under which numbers inside a dotted name compare as numbers."""
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in re.split(r"(\d+)", module)]
