"""Models on tiles: ideal hardware equals the digital model, every effect acts alone, the plan says what is where."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from benchmarks.problems.backbones import VisionTransformer
from crossbar_sim import Hardware, MappedLinear, MappingError, SpecError, map_model
from crossbar_sim.hardware import NON_IDEALITIES
from tests.conftest import OTHER_EFFECTS, TinyNet, tiny_net


def loss_and_gradients(model: nn.Module, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, dict[str, torch.Tensor]]:
    x = x.clone().requires_grad_()
    model.requires_grad_(True)
    model(x).square().sum().backward()
    assert x.grad is not None
    grads = {n.replace(".matrix.master", ".weight"): p.grad for n, p in model.named_parameters() if p.grad is not None}
    return model(x).detach(), x.grad, grads


@pytest.mark.parametrize("rows", [128, 5])
def test_with_everything_off_the_mapped_model_equals_the_digital_one(ideal: Hardware, rows: int) -> None:
    hardware = ideal.replace(tile=ideal.tile.replace(rows=rows, columns=2 * rows))
    for model, x in ((tiny_net(), torch.randn(9, 6)), (VisionTransformer(), torch.rand(3, 8, 8))):
        mapped = copy.deepcopy(model)
        map_model(mapped, hardware)
        y, gx, gw = loss_and_gradients(model, x)
        y2, gx2, gw2 = loss_and_gradients(mapped, x)
        torch.testing.assert_close(y2, y, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(gx2, gx, rtol=1e-4, atol=1e-5)
        assert gw.keys() == gw2.keys()
        for name in gw:
            torch.testing.assert_close(gw2[name], gw[name], rtol=1e-4, atol=1e-5 * gw[name].abs().max().item() + 1e-6)


@pytest.mark.parametrize("effect", NON_IDEALITIES)
def test_each_non_ideality_alone_changes_the_output(milo_with_wires: Hardware, effect: str) -> None:
    faulty = milo_with_wires.replace(
        device=milo_with_wires.device.replace(stuck_at_hrs=0.02, stuck_at_lrs=0.001, **OTHER_EFFECTS)
    )
    hardware = faulty.without(*(name for name in NON_IDEALITIES if name != effect))
    assert hardware.active_non_idealities == (effect,)
    model, x = tiny_net(), torch.randn(50, 6)
    mapped = copy.deepcopy(model)
    map_model(mapped, hardware).wait(3600)
    error = (mapped(x) - model(x)).std() / model(x).std()
    assert 1e-4 < error < 0.5


@pytest.mark.parametrize("backward", ["analog", "noise_free", "ideal"])
def test_backward_reads_the_chosen_weights(milo: Hardware, backward: str) -> None:
    """Without converters and read noise, 'analog' and 'noise_free' are autograd on the achieved weights."""
    hardware = milo.without("dac", "adc", "read_noise").replace(backward=backward)
    layer = nn.Sequential(nn.Linear(7, 5, bias=False))
    master = layer[0].weight.detach().clone()
    chip = map_model(layer, hardware)
    achieved = chip.matrices["0"].weight()
    assert not torch.allclose(achieved, master, rtol=1e-3)
    x, direction = torch.randn(4, 7, requires_grad=True), torch.randn(4, 5)
    layer(x).backward(direction)
    expected = direction @ (master if backward == "ideal" else achieved)
    assert x.grad is not None
    torch.testing.assert_close(x.grad, expected, rtol=1e-5, atol=1e-6)
    assert chip.ledger.energy() > 0


def test_plan_names_tiles_and_skipped_layers(milo: Hardware) -> None:
    model = VisionTransformer()
    chip = map_model(model, milo, exclude=("head", "blocks.0.mlp.*"))
    text = str(chip.plan)
    assert "skipped head: kept digital by request ('head')" in text
    assert "skipped blocks.0.mlp.up: kept digital by request" in text
    assert "LayerNorm is digital" in text
    assert chip.plan.cells_used == 2 * (4 * 64 + 3 * 4 * 64 * 64 + 2 * 2 * 64 * 128)
    assert sum(row["cells_used"] for row in chip.plan.rows()) == chip.plan.cells_used  # type: ignore[misc]
    assert isinstance(model.blocks[1].mlp.up, MappedLinear) and isinstance(model.head, nn.Linear)


def test_refusals_leave_the_model_as_it_was(milo: Hardware) -> None:
    model = tiny_net()
    with torch.no_grad():
        model.blocks[1]["up"].weight[0, 0] = torch.nan
    with pytest.raises(MappingError, match="finite"):
        map_model(model, milo)
    assert all(type(layer) is nn.Linear for layer in (model.blocks[0]["up"], model.blocks[1]["up"]))
    with pytest.raises(MappingError, match="no layer to map"):
        map_model(nn.Sequential(nn.ReLU()), milo)


def test_nan_inputs_are_refused(milo: Hardware) -> None:
    model = tiny_net()
    map_model(model, milo)
    with pytest.raises(MappingError, match="NaN or infinity in its input"):
        model(torch.full((1, 6), torch.nan))


def test_only_changed_levels_are_written(milo: Hardware) -> None:
    model = tiny_net()
    chip = map_model(model, milo)
    matrix = chip.matrices["blocks.0.up"]
    before = matrix.cells.conductance.copy()
    assert matrix.program().count == 0
    largest = int(matrix.master[2].abs().argmax())
    with torch.no_grad():
        matrix.master[2, largest] *= -1  # from one end of the range to the other: both cells of the pair move
    written = matrix.program()
    changed = matrix.cells.conductance != before
    assert written.count == 2 and changed.sum() == 2 and changed[:, largest, 2].all()
    assert chip.ledger.writes() == chip.plan.cells_used + 2
    assert matrix.cells.writes.sum() == matrix.cells.writes.size + 2


def test_energy_grows_with_reads_and_is_additive_over_layers(milo: Hardware) -> None:
    model = tiny_net()
    chip = map_model(model, milo)
    deployed = chip.ledger.energy()
    with chip.ledger.phase("infer"):
        model(torch.randn(10, 6))
        once = chip.ledger.energy("infer")
        model(torch.randn(10, 6))
    assert 0 < once < chip.ledger.energy("infer")
    assert chip.ledger.energy() == pytest.approx(deployed + chip.ledger.energy("infer"))
    by_place: dict[str, float] = {}
    for row in chip.ledger.rows():
        by_place[row["place"]] = by_place.get(row["place"], 0.0) + row["energy_J"]
    assert sum(by_place.values()) == pytest.approx(chip.ledger.energy())
    assert sum(chip.ledger.by_phase().values()) == pytest.approx(chip.ledger.energy())
    assert sum(chip.ledger.by_component().values()) == pytest.approx(chip.ledger.energy())


def test_conductance_doubles_the_cell_term(ideal: Hardware) -> None:
    energies = []
    for factor in (1, 2):
        device = ideal.device.replace(g_min=factor * 10e-6, g_max=factor * 100e-6)
        model = nn.Sequential(nn.Linear(8, 8))
        with torch.no_grad():
            model[0].weight.copy_(torch.eye(8))
        chip = map_model(model, ideal.replace(device=device))
        with chip.ledger.phase("infer"):
            model(torch.ones(3, 8))
        energies.append(chip.ledger.energy("infer", ("cell reads",)))
    assert energies[1] == pytest.approx(2 * energies[0])


def test_same_seed_same_chip(milo: Hardware) -> None:
    outputs = []
    for seed in (0, 0, 1):
        model = tiny_net()
        map_model(model, milo, seed=seed)
        outputs.append(model(torch.ones(2, 6)))
    assert torch.equal(outputs[0], outputs[1])
    assert not torch.equal(outputs[0], outputs[2])


def test_ledger_refuses_nonsense(milo: Hardware) -> None:
    model: TinyNet = tiny_net()
    ledger = map_model(model, milo).ledger
    with pytest.raises(SpecError, match="no component"):
        ledger.add("magic", "here", 1.0, 1)
    with pytest.raises(SpecError, match="not negative"):
        ledger.add("ADC", "here", -1.0, 1)
    for name in ("", "adapt/", "adapt/forward/again"):
        with pytest.raises(SpecError, match="no phase"), ledger.phase(name):
            pass
    before = ledger.energy()
    with ledger.paused():
        model(torch.ones(1, 6))
    assert ledger.energy() == before
