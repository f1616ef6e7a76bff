"""load_state_dict on a mapped model programs its cells, billed, all or nothing; a conversion leaves masters alone."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from crossbar_sim import Chip, Hardware, MappingError, map_model, unmap
from tests.crossbar_sim.layers.test_layer_kinds import model_of


def small(seed: int = 0, factor: float = 1.0) -> nn.Sequential:
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 4))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(factor)
    return model


def mapped(hardware: Hardware, seed: int = 0, factor: float = 1.0) -> tuple[nn.Sequential, Chip]:
    model = small(seed, factor)
    return model, map_model(model, hardware)


@pytest.mark.parametrize("scale", ["column", "tile"])
@pytest.mark.parametrize("factor", [0.1, 1.0, 10.0])
def test_a_loaded_model_computes_what_the_other_does(factor: float, scale: str, ideal: Hardware) -> None:
    hardware = ideal.replace(tile=ideal.tile.replace(scale=scale, rows=4))
    (one, _), (other, chip) = mapped(hardware, 0, factor), mapped(hardware, 1)
    x = torch.rand(3, 8)
    other(x)
    writes = chip.ledger.writes("deploy")
    assert not other.load_state_dict(one.state_dict()).missing_keys
    assert torch.allclose(other(x), one(x), rtol=1e-4, atol=1e-5 * factor)
    assert chip.ledger.writes("deploy") > writes and chip.ledger.writes("infer") == 0
    assert chip.matrices["0"].registers().reads == 6


@pytest.mark.parametrize("kind", ["linear", "conv1d", "conv2d", "attention", "lstm", "gru", "rnn"])
def test_a_state_goes_to_a_twin_and_back_for_every_kind_of_layer(kind: str, ideal: Hardware) -> None:
    model, x = model_of(kind)
    twin = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.mul_(-0.5)
    for one in (model, twin):
        map_model(one, ideal, exclude=())
        one.eval()
    twin.load_state_dict(model.state_dict())
    assert torch.allclose(twin(x), model(x), atol=1e-6)


def test_what_is_there_already_is_not_written_again(milo: Hardware) -> None:
    model, chip = mapped(milo)
    rows = chip.ledger.rows()
    model.load_state_dict(model.state_dict())
    model.load_state_dict(copy.deepcopy(model.state_dict()), assign=True)
    assert chip.ledger.rows() == rows


def test_an_open_phase_gets_the_bill(milo: Hardware) -> None:
    (one, _), (other, chip) = mapped(milo, 0), mapped(milo, 1)
    deployed = chip.ledger.energy("deploy")
    with chip.ledger.phase("adapt/restore"):
        other.load_state_dict(one.state_dict())
    assert chip.ledger.writes("adapt/restore") > 0 and chip.ledger.energy("deploy") == deployed


@pytest.mark.parametrize(
    ("key", "wrong"),
    [("2.bias", "shape"), *(("2.matrix.master", wrong) for wrong in ("shape", "nan", "complex", "huge"))],
)
def test_what_is_refused_changes_nothing(key: str, wrong: str, milo: Hardware) -> None:
    (one, _), (other, chip) = mapped(milo, 0), mapped(milo, 1)
    state = dict(one.state_dict())
    value = state[key]
    if wrong == "shape":
        state[key] = value[:2]
    elif wrong == "complex":
        state[key] = value.to(torch.complex64)
    else:
        state[key] = torch.full_like(value, float("nan") if wrong == "nan" else 3e38)
    before = {name: one.clone() for name, one in other.state_dict().items()}
    rows, cells = chip.ledger.rows(), [matrix.cells.present.copy() for matrix in chip.matrices.values()]
    with pytest.raises(MappingError):
        nn.Sequential(other).load_state_dict({f"0.{name}": one for name, one in state.items()})
    assert all(torch.equal(one, before[name]) for name, one in other.state_dict().items())
    assert chip.ledger.rows() == rows
    assert all((old == new.cells.present).all() for old, new in zip(cells, chip.matrices.values(), strict=True))


def test_a_copy_checks_too_and_unmap_takes_the_check_away(milo: Hardware) -> None:
    model, _ = mapped(milo)
    twin = copy.deepcopy(model)
    with pytest.raises(MappingError, match="nothing was loaded"):
        twin.load_state_dict({**model.state_dict(), "2.bias": torch.zeros(3)})
    unmap(twin, weights="master")
    assert not any(module._load_state_dict_pre_hooks for module in twin.modules())
    with pytest.raises(RuntimeError, match="size mismatch"):
        twin.load_state_dict({**twin.state_dict(), "2.bias": torch.zeros(3)})


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_a_converted_model_keeps_its_float32_master_and_programs(dtype: torch.dtype, milo: Hardware) -> None:
    model, chip = mapped(milo)
    masters = [matrix.master.clone() for matrix in chip.matrices.values()]
    model.to(dtype)
    assert model[0].bias.dtype == dtype
    for matrix, master in zip(chip.matrices.values(), masters, strict=True):
        assert matrix.master.dtype == torch.float32 and torch.equal(matrix.master, master)
        assert matrix.program().count == 0
