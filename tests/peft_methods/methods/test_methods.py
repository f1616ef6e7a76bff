"""One table of cases drives every property that all methods share; a new method adds a row."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks.problems.backbones import load_backbone
from benchmarks.problems.pools import POOL_FOLDER
from benchmarks.problems.tasks import base_data
from crossbar_sim import Hardware, MappedLinear, map_model
from peft_methods import (
    IA3,
    METHODS,
    PASTA,
    VPT,
    Adapter,
    BitFit,
    Bottleneck,
    DoRA,
    Frozen,
    FullFineTuning,
    LinearProbe,
    LoRA,
    LoRAFA,
    LoRAFusion,
    LoRAHub,
    Method,
    MethodError,
    Pool,
    VeRA,
    WeGeFT,
    fine_tune,
)
from peft_methods.base import MergeableAdapter
from peft_methods.methods import read_method
from peft_methods.methods.dora import DoRALinear
from peft_methods.methods.pooled import with_pool
from peft_methods.model_parts import linear_layers
from tests import one_of_each
from tests.conftest import tiny_net, tiny_pool, tiny_transformer

LAYERS = 2 * (6 * 10 + 10 * 6 + 6 * 6)
OUTPUTS = 10 + 6 + 6
BIASES = 2 * OUTPUTS
HEAD = 6 * 3 + 3


@dataclass(frozen=True)
class Case:
    """A method, how many values it trains on its small model, and whether it starts at the frozen model.

    The model is TinyNet on vectors, or a transformer on images for a method that changes tokens.
    """

    method: Method
    trained_values: int
    starts_frozen: bool
    mergeable: bool = True
    tokens: bool = False

    def steps(self, steps: int) -> Method:
        """The method with so many steps, where it has any."""
        return self.method.replace(steps=steps) if self.method.steps else self.method

    def model(self, dtype: torch.dtype = torch.float32) -> nn.Module:
        return tiny_transformer(dtype=dtype) if self.tokens else tiny_net(dtype=dtype)

    def data(self, count: int = 12) -> tuple[torch.Tensor, torch.Tensor]:
        shape = (4, 4) if self.tokens else (6,)
        generator = torch.Generator().manual_seed(0)
        return torch.randn(count, *shape, generator=generator), torch.randint(0, 3, (count,), generator=generator)


CASES = [
    Case(FullFineTuning(), LAYERS + BIASES + 2 * 6 + 6 * 3 + 3, True, mergeable=False),
    Case(LinearProbe(), 6 * 3 + 3, True, mergeable=False),
    Case(LoRA(rank=2), 2 * 2 * (16 + 16 + 12), True),
    Case(LoRA(rank=2, placement="sram"), 2 * 2 * (16 + 16 + 12), True),
    Case(LoRA(rank=3, targets=("up",)), 2 * 3 * 16, True),
    Case(LoRAFusion(), 3 * 2 + 2 * (10 + 6 + 6), False),
    Case(LoRAFusion(magnitude="gain"), 3 * 2 + 2 * (10 + 6 + 6), False),
    Case(LoRAFusion(magnitude="none", initial="average"), 3 * 2, False),
    Case(LoRAFusion(fusion="modules"), 3 * 2 + 2 * (10 + 6 + 6), False),
    Case(LoRAFusion(fusion="modules", magnitude="none", train_head=True), 3 * 2 + HEAD, False, mergeable=False),
    Case(LoRAHub(), 3, True),
    Case(LoRA(rank=4, rank_stabilised=True, train_head=True), 2 * 4 * (16 + 16 + 12) + HEAD, True, mergeable=False),
    Case(LoRAFA(rank=2), 2 * 2 * OUTPUTS, True),
    Case(LoRAFA(rank=2, placement="crossbar", a_placement="sram"), 2 * 2 * OUTPUTS, True),
    Case(DoRA(rank=2), 2 * 2 * (16 + 16 + 12) + 2 * OUTPUTS, True),
    Case(DoRA(rank=2, placement="sram"), 2 * 2 * (16 + 16 + 12) + 2 * OUTPUTS, True),
    Case(VeRA(rank=5), 2 * (3 * 5 + OUTPUTS), True),
    Case(VeRA(rank=5, placement="sram"), 2 * (3 * 5 + OUTPUTS), True),
    Case(WeGeFT(rank=2), 2 * 2 * (6 + 10 + 6), True),
    Case(WeGeFT(rank=2, side="output"), 2 * 2 * (10 + 6 + 6), True),
    Case(WeGeFT(rank=2, shared=False), 2 * 2 * 2 * (6 + 10 + 6), True),
    Case(BitFit(), BIASES, True, mergeable=False),
    Case(BitFit(normalisation=True, targets=("up",)), 2 * 10 + 6, True, mergeable=False),
    Case(IA3(targets=("up",), feed_forward=("down",)), 2 * (10 + 10), True),
    Case(IA3(targets=("up",), feed_forward=("down",), gain_on_bias=False), 2 * (10 + 10), True),
    Case(Bottleneck(rank=2, targets=("mix",)), 2 * (2 * 2 * 6 + 2 + 6), True, mergeable=False),
    Case(Bottleneck(rank=2, placement="sram"), 2 * (2 * 2 * 6 + 2 + 6), True, mergeable=False, tokens=True),
    Case(VPT(prompts=3), 2 * 3 * 6 + HEAD, False, mergeable=False, tokens=True),
    Case(VPT(prompts=3, deep=False, train_head=False), 3 * 6, False, mergeable=False, tokens=True),
    Case(PASTA(), 2 * 6 + HEAD, True, mergeable=False, tokens=True),
    Case(Frozen(), 0, True, mergeable=False),
    Case(PASTA(initial="normal", positions=(0, -1), train_head=False), 2 * 2 * 6, False, False, tokens=True),
]
IDS = [f"{case.method.display_name}-{index}" for index, case in enumerate(CASES)]
table = pytest.mark.parametrize("case", CASES, ids=IDS)
sample = pytest.mark.parametrize(
    "case",
    one_of_each(CASES, IDS, lambda case: (type(case.method), "crossbar" in case.method.placements().values())),
)
"""In CI every method once for each place, tiles or digital, of what it trains."""


def attached(case: Case, hardware: Hardware | None, steps: int | None = None) -> tuple[nn.Module, Adapter]:
    model = case.model()
    method = with_pool(case.method if steps is None else case.steps(steps), lambda: tiny_pool(model))
    return model, method.attach(model, None if hardware is None else map_model(model, hardware), seed=3)


def move(adapter: Adapter) -> None:
    """Move every trained value, so that nothing is zero by initialisation."""
    with torch.no_grad():
        for parameter in adapter.trained_parameters():
            wave = torch.sin(torch.arange(1.0, parameter.numel() + 1)).view(parameter.shape)
            parameter.mul_(0.8).add_(0.02 * wave.to(parameter))
    adapter.write()


@table
def test_trained_values_and_freezing(case: Case) -> None:
    model, adapter = attached(case, None)
    assert adapter.trained_values == case.trained_values
    trained = {id(parameter) for parameter in adapter.trained_parameters()}
    assert {id(p) for p in model.parameters() if p.requires_grad} == trained


@table
def test_initial_output_is_the_frozen_one_or_deliberately_not(case: Case) -> None:
    """I1 and I1'."""
    x, _ = case.data()
    frozen = case.model()(x)
    model, _ = attached(case, None)
    assert torch.allclose(model(x), frozen, atol=1e-6) == case.starts_frozen


@table
def test_on_ideal_hardware_the_method_equals_its_digital_twin(case: Case, ideal: Hardware) -> None:
    """I15: outputs and gradients to 1e-5."""
    x, y = case.data()
    outcomes = []
    for hardware in (None, ideal):
        model, adapter = attached(case, hardware)
        move(adapter)
        outputs = model(x)
        assert outputs.requires_grad == (case.trained_values > 0)
        if outputs.requires_grad:
            nn.functional.cross_entropy(outputs, y).backward()
        gradients = {}
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:
                gradients[name.replace(".matrix.master", ".weight")] = parameter.grad
        outcomes.append((outputs.detach(), gradients))
    (digital, digital_gradients), (mapped, mapped_gradients) = outcomes
    torch.testing.assert_close(mapped, digital, rtol=1e-5, atol=1e-5)
    assert digital_gradients.keys() == mapped_gradients.keys()
    assert bool(digital_gradients) == (case.trained_values > 0)
    for name, gradient in digital_gradients.items():
        torch.testing.assert_close(mapped_gradients[name], gradient, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", METHODS)
def test_the_default_backbone_on_ideal_hardware_equals_its_digital_twin(name: str, ideal: Hardware) -> None:
    """I15 with the pre-trained transformer and the pool that ship: logits and gradients to 1e-5 of the largest."""
    images = base_data().train.tensor[:6]
    outcomes = []
    for hardware in (None, ideal):
        model = load_backbone()
        chip = None if hardware is None else map_model(model, hardware)
        adapter = with_pool(read_method(name), lambda: Pool.load(POOL_FOLDER / "digits_vit")).attach(model, chip)
        logits = model(images)
        if logits.requires_grad:
            nn.functional.cross_entropy(logits, torch.arange(6)).backward()
        gradients = {id(p): p.grad for p in adapter.trained_parameters()}
        outcomes.append((logits.detach(), [g for g in gradients.values() if g is not None]))
    (digital, expected), (mapped, found) = outcomes
    torch.testing.assert_close(mapped, digital, rtol=1e-5, atol=1e-5)
    norms = [sorted(float(g.norm()) for g in gradients) for gradients in (expected, found)]
    assert norms[1] == pytest.approx(norms[0], rel=1e-4, abs=1e-5) and len(norms[0]) == len(norms[1])


@table
def test_merged_equals_unmerged(case: Case) -> None:
    """I2, in float64."""
    if not case.mergeable:
        pytest.skip("the method changes the backbone itself, or only its head")
    model = case.model(torch.float64)
    merged = copy.deepcopy(model)
    adapter = with_pool(case.method, lambda: tiny_pool(model)).attach(model, seed=3)
    move(adapter)
    with torch.no_grad():
        for name, delta in adapter.delta_weights().items():
            merged.get_submodule(name).weight += delta
        for name, delta in adapter.delta_biases().items():
            merged.get_submodule(name).bias += delta
    x = case.data()[0].double()
    torch.testing.assert_close(merged(x), model(x), rtol=1e-12, atol=1e-12)


@sample
def test_detach_gives_the_backbone_back_bit_by_bit(case: Case, milo: Hardware) -> None:
    model = case.model()
    method = with_pool(case.steps(20), lambda: tiny_pool(model))
    chip = map_model(model, milo)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    trainable = {name: p.requires_grad for name, p in model.named_parameters()}
    cells = {name: matrix.cells.conductance.copy() for name, matrix in chip.matrices.items()}
    adapter = method.attach(model, chip)
    x, y = case.data()
    fine_tune(model, adapter, x, y)
    adapter.detach()
    after = model.state_dict()
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())
    assert set(chip.matrices) == set(cells)
    if not isinstance(case.method, FullFineTuning):  # which writes the cells back, with new errors
        assert all((chip.matrices[name].cells.conductance == g).all() for name, g in cells.items())
    assert {name: p.requires_grad for name, p in model.named_parameters()} == trainable


@sample
def test_hardware_consequences_are_what_the_class_says(case: Case, milo: Hardware) -> None:
    """Writes, transposed reads and placement against the simulator's counters (I14: exactly zero where claimed)."""
    model, adapter = attached(case, milo, steps=40)
    chip = adapter.chip
    x, y = case.data()
    before = chip.ledger.writes("adapt")
    pool_cells = chip.ledger.writes("pool")
    history = fine_tune(model, adapter, x, y)
    written = chip.ledger.writes("adapt") - before
    on_tiles = "crossbar" in case.method.placements().values()
    assert (written > 0) == on_tiles
    assert sum(history.cells_written) == written
    assert case.method.writes_cells or written == 0
    rows = chip.ledger.rows()
    backward = sum(r["count"] for r in rows if r["phase"] == "adapt/backward" and r["component"] == "cell reads")
    assert (backward > 0) == case.method.transposed_reads
    assert (pool_cells > 0) == ("crossbar" in case.method.frozen_placements().values())
    assert chip.ledger.writes("pool") == pool_cells
    task_writes = np.concatenate([writes.reshape(-1) for writes in adapter.task_writes().values()])
    assert (task_writes.max() > 0) == on_tiles
    assert task_writes.sum() == chip.ledger.writes("adapt")


@sample
def test_training_lowers_the_loss_and_repeats_bit_for_bit(case: Case, milo: Hardware) -> None:
    losses = []
    for _ in range(2):
        model, adapter = attached(case, milo)
        x, y = case.data(30)
        losses.append(fine_tune(model, adapter, x, y, seed=1).loss)
    assert losses[0] == losses[1] and len(losses[0]) == case.method.steps
    assert not losses[0] or sum(losses[0][-20:]) < sum(losses[0][:20])


def test_every_registered_method_is_in_the_table() -> None:
    assert {type(case.method) for case in CASES} == set(METHODS.values())


def test_refusals() -> None:
    model = tiny_net()
    with pytest.raises(MethodError, match="rank must be at most 6"):
        LoRA(rank=7).attach(model)
    with pytest.raises(MethodError, match=r"no linear layer ends in 'query'.*down, head, mix, up"):
        LoRA(targets=("query",)).attach(tiny_net())
    with pytest.raises(MethodError, match="needs a pool"):
        LoRAFusion().attach(tiny_net())
    with pytest.raises(MethodError, match="another backbone"):
        LoRAFusion(pool=tiny_pool(tiny_net())).attach(nn.Sequential(nn.ModuleDict({"0": nn.Linear(6, 6)})))
    with pytest.raises(MethodError, match="has no head to train"):
        LinearProbe().attach(nn.Sequential(nn.Linear(2, 2)))


def test_full_fine_tuning_stays_inside_the_deployed_range(milo: Hardware) -> None:
    model = tiny_net()
    map_model(model, milo)
    adapter = FullFineTuning().attach(model, None)
    layer = model.blocks[0]["up"]
    assert isinstance(layer, MappedLinear)
    with torch.no_grad():
        layer.weight.mul_(10)
    layer.matrix.program()
    scale = torch.from_numpy(layer.matrix.targets.scale)[:, None]
    assert (layer.weight.abs() <= scale + 1e-6).all()
    assert adapter.trained_values > 0


@sample
@pytest.mark.parametrize("on_tiles", [False, True], ids=["digital", "tiles"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64], ids=str)
def test_models_of_other_types_are_trained(case: Case, on_tiles: bool, dtype: torch.dtype, milo: Hardware) -> None:
    model = case.model(dtype)
    method = with_pool(case.steps(2), lambda: tiny_pool(case.model()))
    adapter = method.attach(model, map_model(model, milo) if on_tiles else None)
    x, y = case.data()
    assert np.isfinite(fine_tune(model, adapter, x.to(dtype), y).loss).all()
    assert model.eval()(x.to(dtype)).dtype == dtype


@sample
@pytest.mark.parametrize(("zero", "on_tiles"), [("row", True), ("all", False)], ids=["row on tiles", "all digital"])
def test_rows_of_zeros_are_trained(case: Case, on_tiles: bool, zero: str, milo: Hardware) -> None:
    model = case.model()
    method = with_pool(case.steps(3), lambda: tiny_pool(model))
    with torch.no_grad():
        for layer in linear_layers(model, None).values():
            layer.weight[2 if zero == "row" else slice(None)] = 0
    adapter = method.attach(model, map_model(model, milo) if on_tiles else None)
    frozen = model.eval()(case.data()[0])
    assert frozen.isfinite().all()
    if isinstance(adapter, MergeableAdapter):
        assert all(delta.isfinite().all() for delta in adapter.delta_weights().values())
    assert np.isfinite(fine_tune(model, adapter, *case.data()).loss).all()
    if isinstance(adapter, MergeableAdapter):
        assert all(delta.isfinite().all() for delta in adapter.delta_weights().values())


@pytest.mark.parametrize("unit", [1e-6, 1.0, 1e6])
def test_the_gain_of_a_row_of_zeros_is_one(unit: float) -> None:
    """The limit of ||W|| / ||W|| as the row vanishes; the other rows are what they were."""
    model = tiny_net()
    layer = model.blocks[0]["up"]
    with torch.no_grad():
        layer.weight.mul_(unit)[3] = 0
    adapted = DoRA(rank=2, placement="sram").attach(model).layers["blocks.0.up"]
    assert isinstance(adapted, DoRALinear)
    assert torch.equal(adapted.gain(), torch.ones(10))
    adapted.after_write()
    torch.testing.assert_close(adapted.gain(), torch.ones(10))
    with torch.no_grad():
        adapted.b.master[3] = unit
    adapted.after_write()
    assert adapted.gain()[3] == 0 and adapted.gain().isfinite().all()
