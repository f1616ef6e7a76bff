"""Recalibration: damage costs accuracy, and training through the cells wins some of it back."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from benchmarks.cli import main
from benchmarks.studies.recalibration import Damage, recalibrations, run_all, table
from crossbar_sim import Hardware, SpecError
from peft_methods import METHODS
from tests import ROOT


def test_bitfit_wins_accuracy_back_and_writes_no_cell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One seed, six times the programming error; the second run comes from the file."""
    (one,) = recalibrations(["bitfit"], damage=Damage(programming_error=6), seeds=(0,))
    (record,) = run_all([one], tmp_path, progress=False)
    assert record.digital_accuracy > record.damaged_accuracy + 0.1
    assert record.recalibrated_accuracy > record.damaged_accuracy + 0.03
    assert record.adapt_cells_written == 0 and record.reprogramming_energy_J == 0 < record.adapt_energy_J
    page = (ROOT / "docs" / "command-line.md").read_text(encoding="utf-8")
    assert all(f"`{key}`" in page for key in record.as_json())
    arguments = ["bitfit", "--programming-error", "6", "--seeds", "0", "--runs", str(tmp_path), "--json", "-"]
    monkeypatch.setattr(sys, "argv", ["xbar", "recalibrate", *arguments])
    main()
    assert json.loads(capsys.readouterr().out) == [record.as_json()]
    assert "BitFit" in table([record])


def test_drift_costs_accuracy_and_reads_win_it_back(tmp_path: Path) -> None:
    """A day of phase-change drift; the linear probe writes no cell."""
    (one,) = recalibrations(["linear-probe"], device="joshi2020", damage=Damage(seconds=86400), seeds=(0,))
    (record,) = run_all([one], tmp_path, progress=False)
    assert record.device == "joshi2020" and record.damage == "86400 s old"
    assert record.digital_accuracy > record.damaged_accuracy + 0.1
    assert record.recalibrated_accuracy > record.damaged_accuracy + 0.05
    assert record.adapt_cells_written == 0


def test_damage_changes_the_device_alone(milo: Hardware) -> None:
    damaged = Damage(programming_error=3, stuck=0.1).done_to(milo)
    law, scaled = milo.device.programming_error, damaged.device.programming_error
    assert law is not None and scaled is not None and scaled.sigma_scale == 3 * law.sigma_scale
    assert damaged.device.stuck_at_lrs == damaged.device.stuck_at_hrs == 0.05
    assert damaged.name == f"{milo.name}, changed"
    assert damaged.replace(device=milo.device, name=milo.name) == milo and Damage().done_to(milo) == milo
    with pytest.raises(SpecError, match="milo2021 states no retention, so time changes nothing; choose one"):
        Damage(seconds=1).done_to(milo)
    with pytest.raises(SpecError, match="states no programming_error to multiply"):
        Damage(programming_error=2).done_to(milo.ideal())


def test_every_method_is_asked_and_nothing_damaged_is_written() -> None:
    found = recalibrations([], damage=Damage(stuck=0.1))
    assert [type(one.method) for one in found] == list(METHODS.values())
    assert [one.method.label for one in found if "crossbar" in one.method.placements().values()] == ["full fine-tuning"]
    with pytest.raises(SpecError, match="did you mean 'bitfit'"):
        recalibrations(["bitfitt"], damage=Damage())
