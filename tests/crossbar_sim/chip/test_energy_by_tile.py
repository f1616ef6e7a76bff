"""Energy by tile: exact for programming, and no joule lost or made."""

from __future__ import annotations

import math

import pytest
import torch

from crossbar_sim import Chip, Hardware, MappingError
from crossbar_sim.chip.counted import CountedChip
from crossbar_sim.chip.energy_by_tile import energy_by_tile, parts_by_tile
from peft_methods import LoRA
from tests.conftest import tiny_net

TILES = [{}, {"mapping": "offset", "slices": 2, "slice_bits": 1}]


def used_chip(hardware: Hardware, **tile: object) -> Chip:
    spec = hardware.tile.replace(rows=16, columns=24, **tile)
    chip = Chip(hardware.replace(tile=spec), seed=3)
    with chip.ledger.phase("deploy"):
        matrix = chip.matrix("w", torch.randn(29, 40, generator=torch.Generator().manual_seed(0)))
    with chip.ledger.phase("adapt/update"):
        matrix.master.data[:7, :10] *= -0.5
        matrix.program()
    x = torch.randn(5, 40, generator=torch.Generator().manual_seed(1), requires_grad=True)
    with chip.ledger.phase("adapt/forward"):
        y = matrix(x)
    with chip.ledger.phase("adapt/backward"):
        y.sum().backward()
    chip.ledger.add("SRAM", "elsewhere", 1e-9, 3)
    return chip


@pytest.mark.parametrize("tile", TILES)
def test_the_parts_of_every_row_add_up_to_it_exactly(milo: Hardware, tile: dict[str, object]) -> None:
    chip = used_chip(milo, **tile)
    parts = parts_by_tile(chip)
    for row, entry in chip.ledger.entries.items():
        own = [joule for (_, key), joule in parts.items() if key == row]
        assert math.fsum(own) == entry.energy and min(own) >= 0
    by_tile = chip.energy_by_tile()
    assert set(by_tile) == {tile.name for tile in chip.matrices["w"].tiles} | {"elsewhere"}
    assert math.fsum(by_tile.values()) == pytest.approx(chip.ledger.energy(), rel=1e-15)
    adapt = chip.energy_by_tile("adapt")
    assert math.fsum(adapt.values()) == pytest.approx(chip.ledger.energy("adapt"), rel=1e-15)


def test_programming_is_that_of_the_cells_of_each_tile(milo: Hardware) -> None:
    """Only the first tile is rewritten, and a tile alone costs what it costs in its matrix."""
    chip = used_chip(milo)
    rewritten = {
        name
        for (name, (phase, component, _)), joule in parts_by_tile(chip).items()
        if phase == "adapt/update" and component == "SET pulses" and joule > 0
    }
    tiles = chip.matrices["w"].tiles
    assert rewritten == {tiles[0].name} and (tiles[0].inputs.start, tiles[0].outputs.start) == (0, 0)
    other = milo.replace(tile=milo.tile.replace(rows=16, columns=24))
    matrix = Chip(other, seed=3).matrix("w", torch.randn(29, 40, generator=torch.Generator().manual_seed(0)))
    fresh = matrix.cells.__class__(other.device, matrix.layout.shape, matrix.cells.key)
    cells = torch.arange(matrix.targets.target.size).numpy()
    done = fresh.program(cells, matrix.targets.target.reshape(-1).copy(), other.adc.energy)
    joule = (done.set_energy + done.reset_energy).reshape(matrix.layout.shape)
    found = parts_by_tile(chip, "deploy")
    for tile in tiles:
        expected = joule[:, tile.inputs, tile.outputs].sum()
        ours = sum(found[tile.name, ("deploy", kind, "w")] for kind in ("SET pulses", "RESET pulses"))
        assert ours == pytest.approx(expected, rel=1e-9)


def test_counted_matrices_have_no_tiles_to_tell_apart(milo: Hardware) -> None:
    chip = CountedChip(milo)
    chip.matrix("w", torch.empty(5, 7, device="meta"))
    with pytest.raises(MappingError, match="only counted"):
        energy_by_tile(chip)


def test_the_ledger_names_the_attached_method(milo: Hardware) -> None:
    from crossbar_sim import map_model

    model = tiny_net()
    chip = map_model(model, milo)
    LoRA(rank=2).attach(model, chip)
    assert list(chip.ledger.by("method")) == [("LoRA (tiles)",)]
