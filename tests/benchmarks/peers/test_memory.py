"""What a mapped weight takes, in all: counted array by array."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks.peers import memory
from benchmarks.peers.memory import Block, arrays_of, held
from crossbar_sim import Chip, Hardware

MOST_FROZEN, MOST_TRAINED = 40.0, 70.0


def test_a_frozen_weight_takes_at_most_forty_bytes_and_a_trained_one_seventy(milo: Hardware) -> None:
    """Read both ways, marked, and in the end written again; 4 bytes of the digital layer are not the chip's."""
    chip = Chip(milo)
    matrix = chip.matrix("w", torch.randn(384, 384, generator=torch.Generator().manual_seed(0)))
    mark = chip.mark_writes()
    for most in (MOST_FROZEN, MOST_TRAINED):
        matrix.read(torch.ones(4, 384))
        matrix.read(torch.ones(4, 384), transposed=True)
        found = held(chip, matrix.master.numel())
        assert sum(one.bytes_per_weight for one in found) <= most
        with torch.no_grad():
            matrix.master.mul_(-0.5)
        matrix.program()
    assert not any(mark.writes[matrix.cells].strides)


def test_arrays_are_found_once_by_name_wherever_they_are() -> None:
    whole = np.zeros((4, 4))

    class Holder:
        def __init__(self) -> None:
            self.view = whole[1:]
            self.again = {"same": whole, "tensor": torch.zeros(3)}
            self.inside = lambda: whole

    assert {name for name, _ in arrays_of(Holder())} in ({"view", "tensor"}, {"same", "tensor"})


def test_records_and_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def small(model: memory.Stack, shape: str) -> None:
        nn.Module.__init__(model)
        model.words = nn.Embedding(20, 16)
        model.blocks = nn.ModuleList([Block(16, 32, 8, gated=True)])
        model.lm_head = nn.Linear(16, 20, bias=False)

    monkeypatch.setattr(memory.Stack, "__init__", small)
    for train in ("nothing", "lora", "all"):
        memory.main(train=train, json=tmp_path / "record.json")  # type: ignore[arg-type]
        record = json.loads((tmp_path / "record.json").read_text())
        assert record["weights"] == 2 * 256 + 2 * 128 + 3 * 512 + 320
        assert record["bytes_per_weight"] == pytest.approx(sum(one["bytes_per_weight"] for one in record["held"]))
        assert 0 < record["before_bytes"] <= record["peak_bytes"]
        assert "| all | | |" in capsys.readouterr().out
