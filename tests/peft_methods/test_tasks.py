"""One adapter, task after task on one chip: what is frozen stays, digital values are kept, tiles are written or are
each task's own."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import nn

from crossbar_sim import Chip, Hardware, map_model
from crossbar_sim.chip.counted import CountedChip
from peft_methods import Adapter, FullFineTuning, LinearProbe, LoRA, LoRAFusion, Method, MethodError, fine_tune
from peft_methods.memory import memory_of
from peft_methods.methods.mixture_norms import FusedNorm
from peft_methods.methods.pooled import with_pool
from peft_methods.tasks import Tasks
from peft_methods.training.loop import programming_energy
from tests.conftest import tiny_net, tiny_pool
from tests.peft_methods.methods.test_methods import CASES, Case, attached, sample


def learn(case: Case, model: nn.Module, adapter: Adapter, seed: int) -> None:
    x, y = case.data()
    fine_tune(model, adapter, x + seed, y.roll(seed), seed=seed)


def values(adapter: Adapter) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in adapter.trained_by_name().items()}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@sample
def test_a_task_that_comes_back_is_the_task_that_was_learned(case: Case, ideal: Hardware) -> None:
    """On ideal hardware: outputs, and every trained value, as they were right after learning; nothing frozen is
    programmed again."""
    model, adapter = attached(case, ideal, 3)
    tasks = Tasks(adapter)
    x, chip = case.data()[0], adapter.chip
    first_values = values(adapter)
    kept, outputs = [], []
    for seed in range(3):
        if seed:
            tasks.next()
            assert same(values(adapter), first_values)
        pool = programming_energy(chip, "pool")
        learn(case, model, adapter, seed)
        model.eval()
        outputs.append(model(x).detach())
        kept.append(tasks.keep())
        assert programming_energy(chip, "pool") == pool
    for place in (0, 2, 1, 1):
        tasks.switch_to(kept[place])
        assert same(values(adapter), dict(kept[place].values))
        torch.testing.assert_close(model(x).detach(), outputs[place], rtol=1e-5, atol=1e-5)


@sample
def test_looking_at_a_task_leaves_no_trace(case: Case, milo: Hardware) -> None:
    model, adapter = attached(case, milo, 3)
    tasks = Tasks(adapter)
    x, chip = case.data()[0], adapter.chip
    assert isinstance(chip, Chip)
    learn(case, model, adapter, 0)
    kept = tasks.keep()
    tasks.next()
    learn(case, model, adapter, 1)
    model.eval()
    twin = copy.deepcopy(model)
    before = (values(adapter), chip.ledger.energy(), chip.writes().tolist())
    with tasks.looking_at(kept):
        model(x)
        on_tiles = {id(matrix.master) for matrix in adapter.matrices}
        for name, parameter in adapter.trained_by_name().items():
            assert id(parameter) in on_tiles or torch.equal(parameter, kept.values[name])
    assert same(values(adapter), before[0])
    assert (chip.ledger.energy(), chip.writes().tolist()) == before[1:]
    assert torch.equal(model(x), twin(x))


def test_tiles_that_are_overwritten_take_exactly_the_cells_whose_level_differs(milo: Hardware) -> None:
    case = CASES[2]
    model, adapter = attached(case, milo, 4)
    tasks = Tasks(adapter)
    kept = []
    for seed in range(2):
        if seed:
            tasks.next()
        learn(case, model, adapter, seed)
        kept.append(tasks.keep())
    for back in (kept[0], kept[1]):
        expected = 0
        for matrix, (name, parameter) in zip(adapter.matrices, adapter.trained_by_name().items(), strict=True):
            assert parameter is matrix.master
            expected += len(copy.deepcopy(matrix.targets).changes(back.values[name])[0])  # type: ignore[attr-defined]
        before = adapter.chip.ledger.writes("adapt")
        tasks.switch_to(back)
        assert adapter.chip.ledger.writes("adapt") - before == expected > 0
        tasks.switch_to(back)
        assert adapter.chip.ledger.writes("adapt") - before == expected


@pytest.mark.parametrize("rule", ["write_verify", "sign_pulses"])
def test_tiles_of_its_own_keep_a_task_bit_for_bit(milo: Hardware, rule: str) -> None:
    """No cell is written when it comes back, whatever the rule, and the chip has grown by a set of tiles per task."""
    model = tiny_net()
    chip = map_model(model, milo)
    adapter = LoRA(rank=2, steps=4, update_rule=rule).attach(model, chip)
    tasks = Tasks(adapter)
    case, kept, cells, tiles = CASES[2], [], [], []
    for seed in range(3):
        if seed:
            tasks.next(own_tiles=True)
        learn(case, model, adapter, seed)
        kept.append(tasks.keep(own_tiles=True))
        cells.append([matrix.cells.conductance.copy() for matrix in adapter.matrices])  # type: ignore[attr-defined]
        tiles.append(len(chip.matrices))
    assert tiles[2] - tiles[1] == tiles[1] - tiles[0] == len(adapter.matrices)
    writes = chip.writes().sum()
    for place in (0, 2, 1):
        tasks.switch_to(kept[place])
        now = [matrix.cells.conductance for matrix in adapter.matrices]  # type: ignore[attr-defined]
        assert all((one == before).all() for one, before in zip(now, cells[place], strict=True))
        assert kept[place].copied_values == 0
    assert chip.writes().sum() == writes
    adapter.detach()
    assert not any(isinstance(module, LoRA) for module in model.modules()) and len(chip.matrices) == 6


def test_a_pool_is_programmed_once_and_an_adapter_for_every_task(milo: Hardware) -> None:
    for case, pool_stays in ((CASES[5], True), (CASES[2], False)):
        model, adapter = attached(case, milo, 4)
        tasks = Tasks(adapter)
        energies = []
        for seed in range(3):
            if seed:
                tasks.next()
            learn(case, model, adapter, seed)
            energies.append((programming_energy(adapter.chip, "pool"), programming_energy(adapter.chip)))
        pools, adaptations = zip(*energies, strict=True)
        if pool_stays:
            assert pools[0] == pools[1] == pools[2] > 0 and adaptations == (0, 0, 0)
        else:
            assert pools == (0, 0, 0) and 0 < adaptations[0] < adaptations[1] < adaptations[2]


def test_from_the_previous_task_nothing_is_written_to_begin_with(milo: Hardware) -> None:
    case = CASES[2]
    model, adapter = attached(case, milo, 4)
    tasks = Tasks(adapter)
    learn(case, model, adapter, 0)
    learned, writes = values(adapter), adapter.chip.ledger.writes("adapt")
    tasks.next(start="previous")
    assert same(values(adapter), learned) and adapter.chip.ledger.writes("adapt") == writes


@pytest.mark.parametrize(
    "method", [LinearProbe(steps=3), LoRA(rank=2, steps=3, train_head=True), LoRA(rank=2, steps=3)]
)
def test_tasks_with_heads_of_their_own(method: Method, milo: Hardware) -> None:
    """Heads with other numbers of classes; each comes back with its task, and the first with `detach`."""
    model = tiny_net()
    first = model.head
    adapter = method.attach(model, map_model(model, milo))
    tasks = Tasks(adapter)
    x = CASES[2].data()[0]
    kept, heads = [], [first, nn.Linear(6, 5), nn.Linear(6, 2)]
    for seed, head in enumerate(heads):
        before = [parameter.detach().clone() for parameter in head.parameters()]
        if seed:
            tasks.next(head)
        fine_tune(model, adapter, x, torch.arange(12) % head.out_features, seed=seed)
        moved = any(not torch.equal(one, old) for one, old in zip(head.parameters(), before, strict=True))
        assert model.head is head and moved == (method.train_head or method.name == "linear-probe")
        kept.append(tasks.keep())
    for place in (0, 2, 1):
        tasks.switch_to(kept[place])
        assert model.head is heads[place] and model(x).shape == (12, heads[place].out_features)
    with pytest.raises(MethodError, match="make it of the same layers"):
        tasks.next(nn.Linear(6, 5, bias=False))
    assert model.head is heads[1]
    adapter.detach()
    assert model.head is first


def test_what_is_no_task_head_or_start_is_refused_and_changes_nothing(milo: Hardware) -> None:
    case = CASES[2]
    model, adapter = attached(case, milo, 2)
    other_model, other = attached(case, milo, 2)
    tasks, chip = Tasks(adapter), adapter.chip
    learn(case, model, adapter, 0)
    learn(case, other_model, other, 1)
    before = (values(adapter), chip.ledger.rows(), model.head)
    foreign: Any = Tasks(other).keep()
    tried: list[Callable[[], object]] = [
        *(lambda one=one: tasks.switch_to(one) for one in (foreign, None, 3)),
        *(lambda one=one: tasks.looking_at(one).__enter__() for one in (foreign, None)),
        *(lambda one=one: tasks.next(one) for one in (nn.Linear(5, 3), "head")),
        lambda: tasks.next(start="first"),  # type: ignore[arg-type]
    ]
    for refused in tried:
        with pytest.raises(MethodError, match=r"its own keep|reads \[5\] inputs|head: give|start must be"):
            refused()
        assert same(values(adapter), before[0]) and (chip.ledger.rows(), model.head) == before[1:]


def test_a_copy_of_tasks_takes_its_own_kept_tasks(milo: Hardware) -> None:
    case = CASES[2]
    model, adapter = attached(case, milo, 2)
    tasks = Tasks(adapter)
    learn(case, model, adapter, 0)
    kept = tasks.keep()
    tasks.next()
    twin, twins, twin_kept = copy.deepcopy((model, tasks, kept))
    tasks.switch_to(kept)
    twins.switch_to(twin_kept)
    x = case.data()[0]
    assert torch.equal(model(x), twin(x))
    with pytest.raises(MethodError, match="another adapter"):
        twins.switch_to(kept)


def test_running_statistics_are_kept_with_their_task(milo: Hardware) -> None:
    class Normed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.blocks = nn.ModuleList([nn.Linear(6, 6), nn.Linear(6, 6)])
            self.normed = nn.BatchNorm1d(6)
            self.head = nn.Linear(6, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            logits: torch.Tensor = self.head(self.normed(self.blocks[1](self.blocks[0](x))))
            return logits

    model = Normed()
    adapter = LoRA(rank=2, steps=3).attach(model, map_model(model, milo))
    tasks = Tasks(adapter)
    start = model.normed.running_mean.clone()
    learn(CASES[2], model, adapter, 0)
    learned, kept = model.normed.running_mean.clone(), tasks.keep()
    tasks.next()
    assert torch.equal(model.normed.running_mean, start) and not torch.equal(learned, start)
    learn(CASES[2], model, adapter, 1)
    tasks.switch_to(kept)
    assert torch.equal(model.normed.running_mean, learned)


def refusals() -> Iterator[tuple[Method, dict[str, object], str]]:
    yield FullFineTuning(steps=2), {"own_tiles": True}, "trains the model's own tiles"
    yield LoRA(rank=2, steps=2, targets=("head",)), {"head": nn.Linear(6, 3)}, "changes the head itself"


@pytest.mark.parametrize(("method", "wish", "why"), list(refusals()))
def test_what_is_refused_changes_nothing(method: Method, wish: dict[str, object], why: str, milo: Hardware) -> None:
    model = tiny_net()
    adapter = method.attach(model, map_model(model, milo))
    tasks = Tasks(adapter)
    before = values(adapter), adapter.chip.ledger.energy(), model.head
    with pytest.raises(MethodError, match=why):
        tasks.next(**wish)  # type: ignore[arg-type]
    assert same(values(adapter), before[0]) and (adapter.chip.ledger.energy(), model.head) == before[1:]


def test_a_detached_adapter_has_no_tasks(milo: Hardware) -> None:
    model = tiny_net()
    adapter = LoRA(rank=2).attach(model, map_model(model, milo))
    tasks = Tasks(adapter)
    kept = tasks.keep()
    adapter.detach()
    for call in (tasks.next, tasks.keep, lambda: tasks.switch_to(kept)):
        with pytest.raises(MethodError, match="not attached any more"):
            call()  # type: ignore[operator]


def test_a_chip_that_is_counted_bills_the_next_task(milo: Hardware) -> None:
    model = tiny_net()
    adapter = LoRA(rank=2).attach(model, map_model(model, CountedChip(milo)))
    tasks = Tasks(adapter)
    before = adapter.chip.ledger.writes("adapt")
    tasks.next()
    assert adapter.chip.ledger.writes("adapt") > before


def test_memory_is_what_is_trained_frozen_and_kept() -> None:
    model = tiny_net()
    fused = with_pool(LoRAFusion(), lambda: tiny_pool(model)).attach(model)
    bytes_of = memory_of(fused)
    norms = [part for layer in fused.layers.values() for part in layer.modules() if isinstance(part, FusedNorm)]
    tables = sum(buffer.numel() for norm in norms for buffer in norm.buffers())
    assert len(norms) == 6
    assert bytes_of == {"trained": 12 * fused.trained_values, "frozen": 0, "kept": 4 * tables}
