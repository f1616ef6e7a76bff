"""The ledger: parts that add up exactly, files that give it back, groups."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossbar_sim import Ledger, SpecError
from crossbar_sim.hardware.components import COMPONENTS
from crossbar_sim.ledger.ledger import KEYS
from crossbar_sim.ledger.pipeline import pipeline

PHASES = ("deploy", "pool", "adapt/forward", "adapt/backward", "adapt/update", "infer")
PLACES = ("blocks.0.up", "blocks.0.up.lora_A", "blocks.0.up.lora_B", "head")
events = st.lists(
    st.tuples(
        st.sampled_from(PHASES),
        st.sampled_from(COMPONENTS),
        st.sampled_from(PLACES),
        st.floats(0, 1, allow_subnormal=False),
        st.integers(0, 10**9),
        st.floats(0, 1),
    ),
    max_size=40,
)


def filled(rows: list[tuple[str, str, str, float, int, float]]) -> Ledger:
    ledger = Ledger(labels={"method": "LoRA"})
    for phase, component, place, energy, count, time in rows:
        with ledger.phase(phase):
            ledger.add(component, place, energy, count, time)
            ledger.add_writes(place, count % 7)
    return ledger


@given(events)
def test_every_total_is_exactly_the_sum_of_its_rows(rows: list[tuple[str, str, str, float, int, float]]) -> None:
    ledger = filled(rows)
    records = ledger.rows()
    assert ledger.energy() == math.fsum(row["energy_J"] for row in records)
    assert ledger.time() == math.fsum(row["time_s"] for row in records)
    for component, energy in ledger.by_component().items():
        assert energy == math.fsum(row["energy_J"] for row in records if row["component"] == component)
    for group, energy in ledger.by_phase().items():
        assert energy == math.fsum(row["energy_J"] for row in records if row["phase"].split("/")[0] == group)
    for keys in (("component",), ("layer", "group"), KEYS):
        parts = ledger.by(*keys)
        assert sum(part.count for part in parts.values()) == sum(row["count"] for row in records)
        assert math.fsum(part.energy for part in parts.values()) == pytest.approx(ledger.energy(), rel=1e-15)
    assert sum(ledger.writes(group) for group in ledger.groups) == ledger.writes()


@given(events)
def test_a_ledger_comes_back_from_its_file(tmp_path_factory: pytest.TempPathFactory, rows: list[tuple]) -> None:
    path = tmp_path_factory.mktemp("ledger") / "ledger.json"
    ledger = filled(rows)
    ledger.to_json(path)
    assert Ledger.from_json(path) == ledger


def test_table_and_layers(tmp_path: Path) -> None:
    ledger = filled([("infer", "ADC", place, 1e-12, 3, 0.0) for place in PLACES])
    ledger.to_csv(tmp_path / "ledger.csv")
    lines = (tmp_path / "ledger.csv").read_text(encoding="utf-8").splitlines()
    assert lines[:2] == ["method,phase,component,place,energy_J,time_s,count", "LoRA,infer,ADC,blocks.0.up,1e-12,0.0,3"]
    assert {key: part.count for key, part in ledger.by("layer").items()} == {("blocks.0.up",): 9, ("head",): 3}
    assert list(ledger.by("method")) == [("LoRA",)]
    with pytest.raises(SpecError, match="cannot be grouped by 'tile'"):
        ledger.by("tile")


@pytest.mark.parametrize(
    "text", ["{", "{}", '{"method": "", "rows": [{"phase": "nap/"}], "cells_written": []}', '{"method": "", "rows": 1}']
)
def test_a_file_that_is_no_ledger(tmp_path: Path, text: str) -> None:
    (tmp_path / "bad.json").write_text(text, encoding="utf-8")
    with pytest.raises(SpecError, match="not a ledger"):
        Ledger.from_json(tmp_path / "bad.json")
    assert not (tmp_path / "ledger.json").exists()


def test_a_pipeline_is_as_fast_as_its_slowest_stage_and_all_digital_work_is_one() -> None:
    ledger = filled(
        [
            ("infer", "cell reads", "a", 1.0, 4, 2.0),
            ("infer", "ADC", "a", 1.0, 4, 1.0),
            ("infer", "cell reads", "b", 1.0, 4, 5.0),
            ("infer", "arithmetic", "c", 1.0, 4, 0.0),
            ("infer", "arithmetic", "a", 1.0, 4, 1.0),
            ("infer", "SRAM", "d", 1.0, 4, 3.0),
            ("deploy", "cell reads", "a", 1.0, 4, 99.0),
        ]
    )
    stages = pipeline(ledger, 2)
    assert stages.stages == {"a": 1.5, "b": 2.5, "digital unit": 2.0}
    assert (stages.latency, stages.interval, stages.slowest) == (6.0, 2.5, "b")
    for samples, phase in ((0, "infer"), (2, "pool")):
        with pytest.raises(SpecError, match="read at least one sample"):
            pipeline(ledger, samples, phase)
