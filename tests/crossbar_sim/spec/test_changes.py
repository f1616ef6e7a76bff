"""What a changed number says of itself: it is assumed, from what it was changed, and the thing has another name."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.estimates.sensitivity import constants_of, varied
from benchmarks.reporting.device_sheet import numbers
from benchmarks.studies.recalibration import Damage
from crossbar_sim import DeviceModel, Hardware
from crossbar_sim.devices import device_names
from crossbar_sim.hardware.hardware import hardware_names
from crossbar_sim.spec.citations import bibtex
from crossbar_sim.spec.spec import SourcedSpec

MILO = Hardware.load("milo2021_128x128")
ISAAC = Hardware.load("isaac_ce")


def rows(hardware: Hardware, part: str, name: str) -> list[dict[str, str]]:
    return [row for row in hardware.provenance() if (row["part"], row["name"]) == (part, name)]


def test_a_changed_number_is_assumed_and_says_what_it_was() -> None:
    wan = DeviceModel.load("wan2022")
    mine = wan.replace(levels=5)
    note = mine.provenance["levels"]
    assert (note.kind, note.source) == ("assumed", "assumption")
    assert note.where == "changed from 16 (measured, wan2022: 4-bit equivalent cells)"
    assert mine.name == "wan2022, changed" and mine.provenance["g_max"] == wan.provenance["g_max"]
    (sheet,) = [row for row in numbers(mine) if row.name == "levels"]
    assert (sheet.value, sheet.kind, sheet.source) == ("5", "assumed", "assumption")
    assert "wan2022, changed" in str(mine) and "@" in bibtex(mine.sources())


def test_changed_again_it_says_what_it_was_at_first() -> None:
    twice = DeviceModel.load("wan2022").replace(levels=5).replace(levels=7)
    assert twice.provenance["levels"].where.startswith("changed from 16 (measured, wan2022")
    assert twice.name == "wan2022, changed"


PARTS: dict[str, Callable[[], Hardware]] = {
    "device": lambda: MILO.replace(device=MILO.device.replace(g_max=200e-6)),
    "tile": lambda: MILO.replace(tile=MILO.tile.replace(rows=64)),
    "dac": lambda: MILO.replace(dac=MILO.dac.replace(energy_per_bit=1e-15)),
    "adc": lambda: MILO.replace(adc=MILO.adc.replace(bits=4)),
    "digital": lambda: MILO.replace(digital=MILO.digital.replace(sram_read=1e-12)),
    "architecture": lambda: ISAAC.replace(architecture=ISAAC.architecture.replace(cells_per_weight=9)),  # type: ignore[union-attr]
}


@pytest.mark.parametrize("part", PARTS)
def test_a_part_that_changes_changes_the_design(part: str) -> None:
    design = PARTS[part]()
    before = ISAAC if part == "architecture" else MILO
    (changed,) = [row for row in design.provenance() if row["where"].startswith("changed from ")]
    assert changed["part"] == part and changed["kind"] == "assumed" and changed not in before.provenance()
    assert design.name == f"{before.name}, changed"


def test_a_name_that_is_given_is_kept() -> None:
    assert MILO.replace(name="mine", tile=MILO.tile.replace(rows=64)).name == "mine"
    assert MILO.replace(name="mine").device == MILO.device


def test_a_source_that_is_given_is_kept() -> None:
    own = {"value": 210, "unit": "uS", "source": "own_data", "kind": "measured"}
    device = MILO.device.replace(g_max=own)
    assert device.provenance["g_max"].kind == "measured" and device.provenance["g_max"].source == "own_data"
    assert device.name == "milo2021, changed"
    notes = {**MILO.device.provenance, "g_max": MILO.device.provenance["g_max"].replace(source="own_data")}
    assert MILO.device.replace(g_max=210e-6, provenance=notes).provenance["g_max"].source == "own_data"


def test_a_note_that_is_left_out_does_not_hide_a_change() -> None:
    assert MILO.device.replace(g_max=210e-6, provenance={}).provenance["g_max"].kind == "assumed"


def test_a_law_that_changes_is_assumed() -> None:
    law = MILO.device.read_noise
    assert law is not None
    mine = law.replace(sigma_scale=2e-6) if hasattr(law, "sigma_scale") else law
    assert (mine.kind, mine.source) == ("assumed", "assumption") and law.source in mine.where
    design = MILO.replace(device=MILO.device.replace(read_noise=mine))
    (row,) = rows(design, "device", "read_noise")
    assert row["kind"] == "assumed" and design.device.name == "milo2021, changed"


def test_what_is_switched_off_states_nothing() -> None:
    wan = Hardware.load("wan2022_256x256").without("levels", "read_noise")
    assert rows(wan, "device", "levels") == [] and rows(wan, "device", "read_noise") == []
    assert wan.name == "wan2022_256x256, changed" and wan.device.name == "wan2022, changed"


def test_sensitivity_and_damage_say_so() -> None:
    for constant in constants_of(MILO, ("assumed", "fitted")):
        design = varied(MILO, constant, 2.0)
        (row,) = rows(design, constant.part, constant.name)
        assert row["kind"] == "assumed" and row["where"].startswith("changed from "), constant
        assert design.name.endswith(", changed")
    damaged = Damage(programming_error=6.0, stuck=0.1).done_to(MILO)
    assert {row["kind"] for name in ("programming_error", "stuck_at_lrs") for row in rows(damaged, "device", name)} == {
        "assumed"
    }


@settings(deadline=None, max_examples=60)
@given(st.sampled_from([*device_names(), *hardware_names()]), st.data())
def test_equal_values_change_nothing(name: str, data: st.DataObject) -> None:
    spec = DeviceModel.load(name) if name in device_names() else Hardware.load(name)
    key = data.draw(st.sampled_from(sorted(type(spec).model_fields)))
    same = spec.replace(**{key: getattr(spec, key)})
    assert same == spec and same.name == spec.name and same.digest() == spec.digest()


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(hardware_names()), st.data())
def test_no_published_number_survives_a_change(name: str, data: st.DataObject) -> None:
    """Whatever number is halved: its note is an assumption, all the others keep theirs."""
    design = Hardware.load(name)
    part = data.draw(st.sampled_from(["device", "tile", "dac", "adc", "digital"]))
    spec: SourcedSpec = getattr(design, part)
    keys = [key for key in spec.provenance if isinstance(getattr(spec, key), float) and getattr(spec, key) > 0]
    key = data.draw(st.sampled_from(sorted(keys))) if keys else None
    if key is None:
        return
    try:
        mine = spec.replace(**{key: getattr(spec, key) * 0.999})
    except Exception as error:
        pytest.skip(str(error))
    assert mine.provenance[key].kind == "assumed"
    assert {k: n for k, n in mine.provenance.items() if k != key} == {
        k: n for k, n in spec.provenance.items() if k != key
    }


def test_a_copy_by_the_model_library_goes_past_nothing() -> None:
    device = DeviceModel.load("wan2022")
    assert device.digest()
    copied = device.model_copy(update={"levels": 5})
    assert copied == device.replace(levels=5)
    assert copied.digest() == device.replace(levels=5).digest() != device.digest()
    assert device.model_copy() == device
