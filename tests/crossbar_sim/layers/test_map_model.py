"""Which layers go on tiles and on which hardware: patterns, shared layers, and tiles that are given again."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from crossbar_sim import Hardware, MappedLinear, MappingError, map_model, unmap
from crossbar_sim.layers.model import KINDS


def test_a_layer_in_two_places_shares_its_tiles(ideal: Hardware) -> None:
    shared = nn.Linear(4, 4)
    model = nn.Sequential(shared, nn.Tanh(), shared)
    x = torch.randn(3, 4)
    expected = model(x).detach()
    chip = map_model(model, ideal)
    assert list(chip.matrices) == ["0"] and model[0] is model[2]
    torch.testing.assert_close(model(x), expected, rtol=1e-5, atol=1e-6)
    unmap(model, weights="master")
    assert model[0] is shared and model[2] is shared


def test_a_hand_made_mapped_linear_comes_back(milo: Hardware) -> None:
    model = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 2))
    chip = map_model(model, milo, target=["0"])
    model[1] = MappedLinear(chip.matrix("1", model[1].weight), model[1].bias)
    unmap(model, weights="master")
    assert type(model[1]) is nn.Linear and isinstance(model(torch.ones(1, 3)), torch.Tensor)


def small() -> nn.Module:
    return nn.ModuleDict(
        {
            "embed": nn.Embedding(5, 4),
            "conv": nn.Conv2d(2, 2, 3),
            "first": nn.Linear(4, 4),
            "second": nn.Linear(4, 4),
            "attention": nn.MultiheadAttention(4, 2),
            "cube": nn.Conv3d(1, 1, 2),
            "head": nn.Linear(4, 2),
        }
    )


@pytest.mark.parametrize(
    ("arguments", "matrices"),
    [
        (
            {},
            [
                "conv",
                "first",
                "second",
                "attention.q_proj",
                "attention.k_proj",
                "attention.v_proj",
                "attention.out_proj",
            ],
        ),
        ({"target": ["*st", "head"]}, ["first"]),
        ({"target": ["*st", "head"], "exclude": []}, ["first", "head"]),
        ({"exclude": ["attention", "conv", "s*"]}, ["first", "head"]),
    ],
)
def test_patterns_choose_layers(milo: Hardware, arguments: dict[str, Any], matrices: list[str]) -> None:
    model = small()
    chip = map_model(model, milo, **arguments)
    assert list(chip.matrices) == matrices
    reasons = dict(chip.skipped)
    assert "look-up" in reasons["embed"] and "Conv3d is digital" in reasons["cube"]
    assert not any(name.startswith("attention.") for name in reasons)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"target": ["frst"]}, "target: no layer matches 'frst'; did you mean 'first'?"),
        ({"target": ["embed"]}, "target: no layer matches 'embed'"),
        ({"exclude": ["cnv"]}, "exclude: no layer matches 'cnv'; did you mean 'conv'?"),
        ({"hardware_of": {"heads": None}}, "hardware_of: no layer matches 'heads'"),
        ({"target": ["head"]}, "no layer to map"),
    ],
)
def test_a_pattern_that_matches_nothing_is_an_error(milo: Hardware, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(MappingError) as caught:
        map_model(small(), milo, **arguments)
    assert message in str(caught.value)


def test_some_layers_on_other_hardware(milo: Hardware) -> None:
    other_kind = Hardware.load("wan2022_256x256").replace(digital=milo.digital)
    model = nn.Sequential(nn.Linear(200, 20), nn.Linear(20, 20))
    chip = map_model(model, milo, hardware_of={"1": other_kind, "*": milo})
    assert [matrix.hardware.name for matrix in chip.matrices.values()] == ["milo2021_128x128", "wan2022_256x256"]
    assert chip.plan.tile_kinds == {("milo2021_128x128", 128, 128): 2, ("wan2022_256x256", 256, 256): 1}
    assert chip.plan.utilisation == 2 * (4000 + 400) / (2 * 128**2 + 256**2)
    assert "3 tiles (2 of milo2021_128x128, 128 x 128 cells; 1 of wan2022_256x256, 256 x 256 cells)" in str(chip.plan)
    assert {row["hardware"] for row in chip.plan.rows()} == {"milo2021_128x128", "wan2022_256x256"}
    model(torch.ones(2, 200))
    adder = milo.digital.replace(add=2 * milo.digital.add)
    with pytest.raises(MappingError, match="another digital periphery \\(add\\)"):
        map_model(nn.Sequential(nn.Linear(2, 2)), milo, hardware_of={"0": milo.replace(digital=adder)})


def test_worn_cells_of_other_hardware_are_not_given_again(milo: Hardware) -> None:
    chip = map_model(nn.Sequential(nn.Linear(2, 2)), milo)
    chip.release("0")
    assert chip.matrix("0", torch.ones(2, 2), hardware=milo.ideal()).cells.writes.max() == 1


def test_names_stand_for_designs_and_brackets_for_themselves(milo: Hardware) -> None:
    model = nn.ModuleDict({"a[0]": nn.Linear(4, 2), "b": nn.Linear(4, 2)})
    chip = map_model(model, "milo2021_128x128", target=["a[[]0]", "a[0]"], hardware_of={"a[0]": "milo2021_128x128"})
    assert list(chip.matrices) == ["a[0]"] and chip.hardware == milo


@pytest.mark.parametrize("error", [MappingError, RuntimeError, KeyboardInterrupt])
def test_a_refusal_at_the_last_layer_leaves_chip_and_ledger(
    milo: Hardware, error: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also the wear of tiles that would have been taken again."""
    chip = map_model(nn.Sequential(nn.Linear(4, 4)), milo)
    chip.release("0")
    worn = chip._released["0"]
    before = worn.conductance.copy(), worn.writes.copy(), chip.ledger.rows()
    model = nn.Sequential(nn.Linear(4, 4), nn.LSTM(4, 4))
    layers = list(model)

    def refuse(*_: object) -> None:
        raise error

    monkeypatch.setitem(KINDS, nn.LSTM, refuse)
    with pytest.raises(error):
        map_model(model, chip)
    assert list(model) == layers and not chip.matrices and chip._released == {"0": worn} and chip.skipped == []
    assert (worn.conductance == before[0]).all() and (worn.writes == before[1]).all()
    assert chip.ledger.rows() == before[2]
