"""LoRA's own facts: initialisation, what is written when every weight moves, export."""

from __future__ import annotations

import math
from pathlib import Path

import torch

from crossbar_sim import Hardware, map_model
from peft_methods import LoRA
from peft_methods.checkpoints.lora import load_lora, save_lora
from peft_methods.methods.low_rank import LowRankAdapter
from tests.conftest import tiny_net


def test_initialisation() -> None:
    adapter = LoRA(rank=6, targets=("mix",)).attach(tiny_net(), seed=0)
    assert isinstance(adapter, LowRankAdapter)
    for layer in adapter.layers.values():
        a = layer.a.master.detach()
        assert a.abs().max() <= 1 / math.sqrt(6) and a.std() > 0.15
        assert layer.b.master.detach().abs().max() == 0
    again = LoRA(rank=6, targets=("mix",)).attach(tiny_net(), seed=0)
    assert torch.equal(again.trained_parameters()[0], adapter.trained_parameters()[0])


def test_every_cell_is_written_when_every_weight_moves(milo: Hardware) -> None:
    """I14: c r (d_in + d_out) per layer, with c = 2 cells per weight."""
    model = tiny_net()
    chip = map_model(model, milo)
    adapter = LoRA(rank=2, a_range=1.0, b_range=1.0).attach(model, chip)
    with torch.no_grad():
        for parameter in adapter.trained_parameters():
            parameter.fill_(1.0)
    adapter.write()
    with torch.no_grad():
        for parameter in adapter.trained_parameters():
            parameter.fill_(-1.0)
    before = chip.ledger.writes("adapt")
    layers = 2 * ((6 + 10) + (10 + 6) + (6 + 6))
    with chip.ledger.phase("adapt/update"):
        assert adapter.write() == 2 * 2 * layers
        assert chip.ledger.writes("adapt") - before == 2 * 2 * layers
        assert adapter.write() == 0


def test_save_and_load_reproduce_the_update(tmp_path: Path) -> None:
    adapter = LoRA(rank=2).attach(tiny_net())
    with torch.no_grad():
        for parameter in adapter.trained_parameters():
            parameter.normal_(generator=torch.Generator().manual_seed(0))
    save_lora(tmp_path / "one", adapter.export("one"), "tiny")
    loaded = load_lora(tmp_path / "one")
    for name, delta in adapter.delta_weights().items():
        torch.testing.assert_close(loaded.scaling * loaded.b[name] @ loaded.a[name], delta)
