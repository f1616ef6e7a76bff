"""Specs: every mistake is one sentence that teaches; TOML round-trips; equal content, equal digest."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from crossbar_sim import DeviceModel, Hardware, SpecError
from crossbar_sim.devices import device_names
from crossbar_sim.hardware import NON_IDEALITIES, hardware_names
from crossbar_sim.library import shelf_path
from tests.conftest import OTHER_EFFECTS

MILO = shelf_path("devices", "milo2021").read_text(encoding="utf-8")
CHIP = shelf_path("hardware", "milo2021_128x128").read_text(encoding="utf-8")

DEVICE_MISTAKES = [
    ("[levels]", "[levls]", "unknown key 'levls'; did you mean 'levels'?"),
    ("value = 50\n", "value = 225\n", "g_min (225 µS) must be below g_max (225 µS)"),
    ("value = 50\n", "value = nan\n", "g_min"),
    ('unit = "uS"', 'unit = "uV"', "unit 'uV' is not a unit of S"),
    ("value = 9\n", "value = 1\n", "levels: Input should be greater than or equal to 2 (got 1)"),
    ('kind = "measured"', 'kind = "guessed"', "kind"),
    ('programming = "erase_write_verify"', 'programming = "magic"', "programming"),
    ("value = 1.5\n", "value = 1e-4\n", "verify_acceptance (100 pS) must be at least 1e-06 of g_max (225 pS)"),
    ("[verify_acceptance]", "[verify_acceptence]", "'verify_acceptence'; did you mean 'verify_acceptance'?"),
    ("value = 9\n", "value = \n", "not valid TOML"),
]


@pytest.mark.parametrize(("old", "new", "message"), DEVICE_MISTAKES)
def test_device_mistakes_are_explained(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in MILO
    path = tmp_path / "my.toml"
    path.write_text(MILO.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(SpecError, match="my.toml") as caught:
        DeviceModel.load(path)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


HARDWARE_MISTAKES = [
    ("bits = 8", "bits = 0", "DAC: bits: Input should be greater than or equal to 2 (got 0)"),
    ("rows = 128", "rows = 0", "rows"),
    ('device = "milo2021"', 'device = "milo2022"', "did you mean 'milo2021'?"),
    ('backward = "analog"', 'backwards = "analog"', "did you mean 'backward'?"),
]


@pytest.mark.parametrize(("old", "new", "message"), HARDWARE_MISTAKES)
def test_hardware_mistakes_are_explained(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = tmp_path / "chip.toml"
    path.write_text(CHIP.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(SpecError) as caught:
        Hardware.load(path)
    assert message in str(caught.value)


def test_missing_files_and_names() -> None:
    with pytest.raises(SpecError, match=r"no such file: nowhere\.toml"):
        DeviceModel.load("nowhere.toml")
    with pytest.raises(SpecError, match="did you mean 'wan2022'"):
        DeviceModel.load("wan2021")


@pytest.mark.parametrize("name", device_names())
def test_device_round_trips_through_toml(name: str) -> None:
    device = DeviceModel.load(name)
    again = DeviceModel.from_document(tomllib.loads(device.to_toml()), "copy")
    assert again == device
    assert again.digest() == device.digest()
    assert hash(again) == hash(device)


@pytest.mark.parametrize("name", hardware_names())
def test_hardware_round_trips_and_prints_a_datasheet(name: str) -> None:
    hardware = Hardware.load(name)
    assert Hardware.from_document(tomllib.loads(hardware.to_toml()), "copy") == hardware
    assert len(str(hardware).splitlines()) <= 15
    assert len(str(hardware.device).splitlines()) <= 15
    assert hardware.device.name in str(hardware)


@pytest.mark.parametrize("name", device_names())
def test_every_number_of_a_library_device_has_a_source(name: str) -> None:
    device = DeviceModel.load(name)
    free = {
        "name",
        "description",
        "levels",
        "programming",
        "max_pulses",
        "programming_error",
        "read_noise",
        "lifetime",
        "retention",
        "telegraph_noise",
        "incremental_amplitude",
        "current_voltage",
        "step_law",
        "pulses_may_reverse",
        "device_to_device_distribution",
        "provenance",
    }
    assert device.model_fields_set - free <= set(device.provenance)


@pytest.mark.parametrize("effect", NON_IDEALITIES)
def test_each_non_ideality_switches_off_alone(milo_with_wires: Hardware, effect: str) -> None:
    faulty = milo_with_wires.replace(device=milo_with_wires.device.replace(stuck_at_hrs=0.01, **OTHER_EFFECTS))
    assert faulty.active_non_idealities == tuple(NON_IDEALITIES)
    assert set(NON_IDEALITIES) - set(faulty.without(effect).active_non_idealities) == {effect}
    for hardware in (faulty, faulty.without(effect), faulty.without(*(set(NON_IDEALITIES) - {effect})), faulty.ideal()):
        line = next(line for line in str(hardware).splitlines() if line.startswith("  non-ideal"))
        shown = line.removeprefix("  non-ideal    ")
        assert shown == (", ".join(hardware.active_non_idealities) or "nothing: every non-ideality is off")
    assert faulty.without(*(set(NON_IDEALITIES) - {effect})).active_non_idealities == (effect,)
    with pytest.raises(SpecError, match="did you mean 'read_noise'"):
        milo_with_wires.without("read_nois")


def test_specs_are_frozen(milo: Hardware) -> None:
    with pytest.raises(Exception, match="frozen"):
        milo.name = "other"
    assert milo.replace(name="other").digest() != milo.digest()


def test_units_are_si_inside() -> None:
    device = DeviceModel.load("milo2021")
    assert (device.g_min, device.g_max, device.pulse_width) == (50e-6, 225e-6, 1e-6)
    assert device.provenance["g_min"].unit == "uS"
