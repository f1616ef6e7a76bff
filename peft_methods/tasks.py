"""Tasks: one adapter learns task after task on one chip; what each of them keeps, and what stays on the tiles."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import nn

from crossbar_sim.chip.matrix import Matrix
from crossbar_sim.layers.model import head_name
from peft_methods.adapted_layer import AdaptedLayer
from peft_methods.base import Adapter
from peft_methods.errors import MethodError
from peft_methods.model_parts import head_of
from peft_methods.model_state import Computed
from peft_methods.phases import UPDATE
from peft_methods.placement import WORD, bill_sram

Start = Literal["initial", "previous"]
"""Where training of the next task starts: the values of `attach`, or what the task before has learned."""
PLACE = "kept tasks"
"""What the ledger calls the memory in which learned tasks are kept."""


@dataclass(frozen=True, eq=False)
class KeptTask:
    """What one learned task keeps while the chip works on others.

    values: every trained value by name. buffers: those of the model that training moved, by place. head: the head of
    the model. matrices: the trained matrices on tiles that hold it. digital_values: how many numbers of it are not on
    tiles but in memory; copied_values: how many are on tiles and in memory too, since others will be written there.
    adapter: whose task it is.
    """

    values: Mapping[str, torch.Tensor]
    buffers: Mapping[int, torch.Tensor]
    head: nn.Module | None
    matrices: tuple[Matrix, ...]
    digital_values: int
    copied_values: int
    adapter: Adapter

    @property
    def kept_bytes(self) -> int:
        """What it takes in memory, as float32."""
        return WORD * (self.digital_values + self.copied_values)


class Tasks:
    """The tasks of one adapter, one after the other on the same chip: learn, `keep`, `next`, learn, ... `switch_to`.

    What is frozen stays programmed, a pool above all. What is trained and not on tiles is kept for every task in
    memory; what is trained on tiles is overwritten by the next task, or each task gets tiles of its own. Everything is
    billed to 'adapt/update'. Every call raises MethodError once the method is detached.
    """

    def __init__(self, adapter: Adapter) -> None:
        self._adapter = adapter
        self._start = dict(adapter.start_values)
        self._count = 1
        self._first_head = self._head()
        self._replaced_head = False

    def next(self, head: nn.Module | None = None, *, own_tiles: bool = False, start: Start = "initial") -> None:
        """Get ready to learn another task: what is trained starts anew (`start`: from the values of `attach`, or
        'previous': from what the task before has learned).

        head: that of the next task, if tasks have heads of their own. Of trained matrices on tiles those cells are
        written whose level changes; own_tiles: they stay, and the next task gets tiles of its own. MethodError, and
        nothing is changed, for a head of other layers or inputs, and for tiles of their own where the model's are
        trained.
        """
        adapter = self._attached()
        if start not in get_args(Start):
            raise MethodError(f"start must be 'initial' or 'previous', got {start!r:.40}")
        if own_tiles:
            self._check_own_tiles()
        if head is not None:
            self._check_head(head)
        with torch.no_grad(), adapter.chip.all_or_nothing():
            adapter.resume()
            if start == "initial":
                self._put_buffers({})
            if head is not None:
                self._put_head(head)
                own = f"{head_name(adapter.model)}."
                self._start = {
                    name: value.detach().clone() if name.startswith(own) else self._start[name]
                    for name, value in adapter.trained_by_name().items()
                }
            now = {name: value.detach().clone() for name, value in adapter.trained_by_name().items()}
            values = self._start if start == "initial" else now
            if own_tiles:
                self._take_new_tiles(values)
            adapter.load(values)
        self._count += 1

    @torch.no_grad()
    def keep(self, *, own_tiles: bool = False) -> KeptTask:
        """What `switch_to` needs to bring the present task back, copied to memory. own_tiles: the next task gets its
        own, so that what is on tiles needs no copy."""
        adapter = self._attached()
        values = {name: value.detach().clone() for name, value in adapter.trained_by_name().items()}
        on_tiles = sum(matrix.master.numel() for matrix in adapter.matrices)
        head = self._head()
        trained = set(map(id, adapter.trained_parameters()))
        buffers = {
            place: buffer.clone()
            for place, (buffer, before) in enumerate(adapter.before.buffers)
            if not torch.equal(buffer, before)
        }
        own_head = (
            0
            if head is None or head is self._first_head
            else sum(p.numel() for p in head.parameters() if id(p) not in trained)
        )
        moved = sum(buffer.numel() for buffer in buffers.values())
        kept = KeptTask(
            values=values,
            buffers=buffers,
            head=head,
            matrices=tuple(adapter.matrices),
            digital_values=sum(value.numel() for value in values.values()) - on_tiles + own_head + moved,
            copied_values=0 if own_tiles else on_tiles,
            adapter=adapter,
        )
        words = kept.digital_values + kept.copied_values
        with adapter.chip.ledger.phase(UPDATE):
            bill_sram(adapter.chip, PLACE, reads=words, writes=words)
        return kept

    @torch.no_grad()
    def switch_to(self, kept: KeptTask) -> None:
        """Bring a kept task back: digital values are copied, and of the tiles those are programmed that hold another
        task. Nothing is done where the task is there already. MethodError for a task of another adapter."""
        adapter = self._attached()
        self._check_kept(kept)
        if self._is_at(kept):
            return
        with adapter.chip.all_or_nothing():
            adapter.resume()
            self._put_buffers(kept.buffers)
            if kept.head is not None and kept.head is not self._head():
                self._put_head(kept.head)
            self._put_matrices(kept.matrices)
            self._put_digital(kept)
            overwritten = [
                matrix for matrix, name in self._trained_matrices() if not torch.equal(matrix.master, kept.values[name])
            ]
            words = sum(matrix.master.numel() for matrix in overwritten)
            with adapter.chip.ledger.phase(UPDATE):
                bill_sram(adapter.chip, PLACE, reads=kept.digital_values + words, writes=kept.digital_values)
            if overwritten:
                adapter.load(kept.values)
            adapter.finish()

    @contextmanager
    def looking_at(self, kept: KeptTask) -> Iterator[None]:
        """Inside, the model has the digital values of a kept task, and the tiles as they are: what the chip still knows
        of it without any write. Nothing is billed, counted or changed. MethodError for a task of another adapter."""
        adapter = self._attached()
        self._check_kept(kept)
        with torch.no_grad(), adapter.chip.probing():
            now = {name: value.detach().clone() for name, value in adapter.trained_by_name().items()}
            buffers = {place: buffer.clone() for place, (buffer, _) in enumerate(adapter.before.buffers)}
            head, matrices = self._head(), tuple(adapter.matrices)
            computed = Computed(adapter.model)
            adapter.resume()
            self._put_buffers(kept.buffers)
            if kept.head is not None:
                self._put_head(kept.head)
            self._put_matrices(kept.matrices)
            self._put_digital(kept)
            adapter.finish()
            try:
                yield
            finally:
                self._put_buffers(buffers)
                if head is not None:
                    self._put_head(head)
                self._put_matrices(matrices)
                for name, parameter in adapter.trained_by_name().items():
                    parameter.copy_(now[name])
                computed.put_back()

    def _attached(self) -> Adapter:
        """The adapter; MethodError once it is detached."""
        if not self._adapter.attached:
            raise MethodError(
                f"{self._adapter.method.display_name} is not attached any more; method.attach(model) again"
            )
        return self._adapter

    def _is_at(self, kept: KeptTask) -> bool:
        """Whether the adapter is what it was when this task was kept."""
        adapter = self._adapter
        now = adapter.trained_by_name()
        return (
            kept.matrices == tuple(adapter.matrices)
            and (kept.head is None or kept.head is self._head())
            and all(torch.equal(kept.values[name], value) for name, value in now.items())
        )

    def _trained_matrices(self) -> list[tuple[Matrix, str]]:
        """Every trained matrix on tiles, with the name of its values."""
        names = {id(parameter): name for name, parameter in self._adapter.trained_by_name().items()}
        return [(matrix, names[id(matrix.master)]) for matrix in self._adapter.matrices]

    def _head(self) -> nn.Module | None:
        name = head_name(self._adapter.model)
        return None if name is None else self._adapter.model.get_submodule(name)

    def _check_kept(self, kept: KeptTask) -> None:
        if not isinstance(kept, KeptTask) or kept.adapter is not self._adapter:
            raise MethodError(
                f"a task of another adapter than this {self._adapter.method.display_name}; give what its own keep() "
                "returned here"
            )

    def _check_head(self, head: nn.Module) -> None:
        adapter = self._adapter
        if not isinstance(head, nn.Module):
            raise MethodError(f"head: give the module that is the head of the next task, got {type(head).__name__}")
        if isinstance(self._head(), AdaptedLayer):
            raise MethodError(
                f"{adapter.method.display_name} changes the head itself, so that no task can bring another; name "
                "targets without the head"
            )
        present = head_of(adapter.model)
        if set(dict(present.named_parameters())) != set(dict(head.named_parameters())):
            raise MethodError(
                f"the head of the next task has the parameters {sorted(dict(head.named_parameters()))}, that of this "
                f"one {sorted(dict(present.named_parameters()))}; make it of the same layers"
            )
        reads, read_so_far = (
            next((p.shape[1:] for p in one.parameters() if p.ndim > 1), torch.Size()) for one in (head, present)
        )
        if reads != read_so_far:
            raise MethodError(
                f"the head of the next task reads {list(reads)} inputs, that of this one {list(read_so_far)}; only its "
                "classes may be others"
            )

    def _put_head(self, head: nn.Module) -> None:
        """The model has this head, and what was trained of the one before is trained of it."""
        adapter = self._adapter
        before, name = self._head(), head_name(adapter.model)
        assert before is not None and name is not None
        if before is head:
            return
        if before is self._first_head and not self._replaced_head:
            self._replaced_head = True
            adapter.replace(name, head)
        else:
            owner, _, child = name.rpartition(".")
            setattr(adapter.model.get_submodule(owner), child, head)
        new = dict(head.named_parameters())
        pairs = {id(old): new[key] for key, old in before.named_parameters()}
        trained = set(map(id, adapter.trained_parameters()))
        for key, old in before.named_parameters():
            new[key].requires_grad_(id(old) in trained)
        for group in adapter.groups:
            group.parameters[:] = [pairs.get(id(one), one) for one in group.parameters]
        head.train(before.training)

    def _put_buffers(self, values: Mapping[int, torch.Tensor]) -> None:
        for place, (buffer, before) in enumerate(self._adapter.before.buffers):
            buffer.copy_(values.get(place, before))

    def _put_digital(self, kept: KeptTask) -> None:
        """What is not on tiles takes the values of a task; the tiles stay as they are."""
        adapter = self._adapter
        on_tiles = {id(matrix.master) for matrix in adapter.matrices}
        for name, parameter in adapter.trained_by_name().items():
            if id(parameter) not in on_tiles:
                parameter.copy_(kept.values[name])
        adapter.after_write()

    def _check_own_tiles(self) -> None:
        adapter = self._adapter
        if any(matrix.master in adapter.originals for matrix in adapter.matrices):
            raise MethodError(
                f"{adapter.method.display_name} trains the model's own tiles, so that tiles for each task would be "
                "another copy of the model each; let tasks overwrite each other"
            )

    def _take_new_tiles(self, values: Mapping[str, torch.Tensor]) -> None:
        """Every trained matrix gets tiles that no task was on; those of before stay programmed."""
        adapter = self._adapter
        with adapter.chip.ledger.phase(UPDATE):
            new = tuple(
                self._again(matrix, f"{matrix.name.partition('@')[0]}@{self._count + 1}", values[name])
                for matrix, name in self._trained_matrices()
            )
        self._put_matrices(new)

    def _again(self, matrix: Matrix, name: str, weight: torch.Tensor) -> Matrix:
        new = self._adapter.place_again(matrix, name, weight)
        assert isinstance(new, Matrix)
        return new

    def _put_matrices(self, matrices: tuple[Matrix, ...]) -> None:
        """The layers read these matrices, and training writes them."""
        adapter = self._adapter
        swapped = {id(old): new for old, new in zip(adapter.matrices, matrices, strict=True) if old is not new}
        if not swapped:
            return
        masters = {
            id(old.master): new.master for old, new in zip(adapter.matrices, matrices, strict=True) if old is not new
        }
        for module in adapter.model.modules():
            for child, one in list(module.named_children()):
                if id(one) in swapped:
                    setattr(module, child, swapped[id(one)])
        for old, new in zip(adapter.matrices, matrices, strict=True):
            new.keep_factors(old.keeps_factors)
            new.master.requires_grad_(old.master.requires_grad)
        for group in adapter.groups:
            group.parameters[:] = [masters.get(id(one), one) for one in group.parameters]
        adapter.placed[:] = [
            (swapped.get(id(one), one), placement) if isinstance(one, Matrix) else (one, placement)
            for one, placement in adapter.placed
        ]
        adapter.matrices[:] = matrices
        adapter.writers[:] = [adapter.method.update_rule.writer(matrix) for matrix in matrices]
        adapter.after_write()
