"""A device fitted to pulse trains: data made from a known device give that device back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from crossbar_sim import DeviceModel, SpecError
from crossbar_sim.cells.cells import Cells
from crossbar_sim.devices.fit import example, fit, simulate
from crossbar_sim.devices.pulse_data import PulseData, Scale, read_pulses
from crossbar_sim.runtime.counter_random import stream_key
from crossbar_sim.spec.citations import OWN_DATA, bibtex

ANALOG = ["jo2010", "wu2018", "woo2016", "park2013", "choi2018"]


@pytest.mark.parametrize("name", ANALOG)
def test_a_known_device_comes_back(name: str) -> None:
    """50 devices, 0.2 % of the window per pulse. Tolerances: the ends of the window to 1 % of it, labels to 0.1, the
    cycle-to-cycle spread to 15 %."""
    true = DeviceModel.load(name).replace(cycle_to_cycle_window=0.002)
    result = fit(simulate(true, 50, stream_key(3, name)), "again")
    found = result.device
    assert abs(found.g_min - true.g_min) < 0.01 * true.window and abs(found.g_max - true.g_max) < 0.01 * true.window
    assert found.set_nonlinearity == pytest.approx(true.set_nonlinearity, abs=0.1)
    assert found.reset_nonlinearity == pytest.approx(true.reset_nonlinearity, abs=0.1)
    assert found.cycle_to_cycle_window == pytest.approx(0.002, rel=0.15)
    assert (found.device_to_device or 0.0) < 0.02
    assert found.full_swing_pulses == true.full_swing_pulses
    assert found.reset_pulses_full_swing == true.reset_pulses_full_swing
    assert result.r_squared > 0.99 and "R²" in str(result) and "doubtful" not in str(result)


@pytest.mark.parametrize("name", ANALOG)
def test_device_to_device_spread_comes_back(name: str) -> None:
    """With 10 % from device to device the fast half stops at the end of the window, which the law does not know.
    Tolerances: the window to 4 %, labels to 0.3, the spread to 40 %."""
    true = DeviceModel.load(name).replace(cycle_to_cycle_window=0.002, device_to_device=0.1)
    found = fit(simulate(true, 50, stream_key(3, name)), "again").device
    assert abs(found.g_min - true.g_min) < 0.04 * true.window and abs(found.g_max - true.g_max) < 0.04 * true.window
    assert found.set_nonlinearity == pytest.approx(true.set_nonlinearity, abs=0.3)
    assert found.reset_nonlinearity == pytest.approx(true.reset_nonlinearity, abs=0.3)
    assert found.device_to_device == pytest.approx(0.1, rel=0.4)


@pytest.mark.parametrize("label", [None, 1.0, -2.0, 6.0])
def test_without_spread_the_curve_is_exact(label: float | None) -> None:
    true = DeviceModel.load("wu2018").replace(
        set_nonlinearity=label, reset_nonlinearity=label, cycle_to_cycle_window=None
    )
    result = fit(simulate(true, 1, stream_key(0, "exact")), "again")
    assert (result.device.g_min, result.device.g_max) == pytest.approx((true.g_min, true.g_max), rel=1e-5)
    assert result.device.set_nonlinearity == (None if label is None else pytest.approx(label, abs=1e-3))
    assert result.device.reset_nonlinearity == (None if label is None else pytest.approx(label, abs=1e-3))
    assert result.r_squared > 1 - 1e-9 and result.residual_sd < 1e-4 * true.window


def test_simulated_trains_are_those_of_the_programming_kernel() -> None:
    """Pulse for pulse the mean curve; a write across the window ends where the train does."""
    device = DeviceModel.load("jo2010").replace(cycle_to_cycle_window=None)
    train = simulate(device, 1, stream_key(0, "twin")).trains[0]
    np.testing.assert_allclose(train[:98], device.response(np.arange(98)), rtol=1e-9)
    np.testing.assert_allclose(train[97:], device.response(np.arange(101), reset=True), rtol=1e-9)
    crossbar = Cells(device, (1,), stream_key(0, "twin"))
    result = crossbar.program(np.array([0]), train[40:41], 0.0)
    assert result.set_pulses[0] == 40


def test_a_broad_spread_is_called_doubtful() -> None:
    assert "doubtful" in str(fit(simulate(DeviceModel.load("wu2018"), 20, stream_key(0, "broad")), "broad"))


def test_csv_and_toml_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_text(example("park2013", devices=5), encoding="utf-8")
    data = read_pulses(path)
    assert data.trains.shape == (5, 101) and (data.up, data.down) == (50, 50)
    device = fit(data, "mine", like="park2013").device
    assert device.set_voltage == 2.0 and device.provenance["set_voltage"].kind == "assumed"
    assert device.provenance["g_min"].source == OWN_DATA and device.provenance["g_min"].kind == "fitted"
    (tmp_path / "mine.toml").write_text(device.to_toml(), encoding="utf-8")
    assert DeviceModel.load(tmp_path / "mine.toml") == device
    assert bibtex(device.sources()).count("@") == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("pulse,conductance,device\n", "no pulse and conductance below the header"),
        ("pulse,conductance\n0,1e-6\n", "at least 2 pulses up"),
        ("pulse,conductance\n" + "".join(f"{p},1e-6\n" for p in (0, 1, 2, 1, 2)), "after 1 comes 1 in column pulse"),
        ("0,1e-6\n1,1e-6\n2,1e-6\n3,1e-6\n", "do not halve"),
        ("pulse,a,b\n" + "".join(f"{p},1e-6,1e-6\n" for p in (0, 1, 3, 4, 5)), "after 1 comes 3 in column pulse"),
        ("time (s),a\n" + "".join(f"{p},1e-6\n" for p in (0, 0.5, 0.5, 1, 2)), "after 0.5 comes 0.5"),
        ("pulse,conductance,device\n0,1e-6,a\nx,1e-6,a\n", "line 3: pulse must be a whole number"),
        ("pulse,conductance,device\n0,nan,a\n", "line 2: conductance must be finite"),
        ("pulse,conductance,device\n0,1e-6,a\n2,1e-6,a\n", "every pulse from 0 to 2 once"),
        ("pulse,conductance,device\n0,1e-6,a\n0.5,1e-6,a\n1.5,1e-6,a\n", "every pulse from 0 to 1.5 once"),
        *(
            (f"pulse,conductance,device\n0,1e-6,a\n{last},1e-6,a\n", r"every pulse from 0 to 1e\+\d+ once")
            for last in ("1e12", "1e300")
        ),
        ("pulse,conductance,device\n" + "".join(f"{p},1e-6,a\n" for p in range(4)), "do not halve"),
        ("pulse,conductance,device\n0,1e-6,a\n", "at least 2 pulses up"),
    ],
)
def test_mistakes_in_data_are_explained(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "data.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SpecError, match=message):
        read_pulses(path)


UP, DOWN = [10.0, 12.0, 14.0, 15.0, 16.0], [16.0, 14.0, 12.0, 11.0, 10.0]
ROUND = [*UP, *DOWN[1:]]


def lines(*rows: object) -> str:
    return "\n".join(map(str, rows)) + "\n"


WRITTEN = {
    "spreadsheet": (
        "\ufeff"
        + lines(
            "device; conductance (\u00b5S) ;pulse", *(f"a ; {g} ;{p}".replace(".", ",") for p, g in enumerate(ROUND))
        ),
        {},
    ),
    "quoted": (lines('"pulse","conductance (uS)","device"', *(f'"{p}","{g}","a"' for p, g in enumerate(ROUND))), {}),
    "one device": (lines("G (uS),pulse", *(f"{g},{p}" for p, g in reversed(list(enumerate(ROUND))))), {}),
    "one device, counted from one": (lines("pulse,G (uS)", *(f"{p},{g}" for p, g in enumerate(ROUND, 1))), {}),
    "one device by time": (lines("t (s),G (uS)", *(f"{0.5 * p},{g}" for p, g in enumerate(ROUND))), {}),
    "two columns": (lines(*(f"{u}\t{d}" for u, d in zip(UP, DOWN, strict=True))), {"unit": "uS"}),
    "two columns, unequal": (
        lines(*(f"{u},{d}" for u, d in zip([9.0, *UP], [*map(str, DOWN), ""], strict=True))),
        {"unit": "uS", "first": 9.0},
    ),
    "set and reset by name": (lines("LTP [uS],LTD [uS]", *(f"{u},{d}" for u, d in zip(UP, DOWN, strict=True))), {}),
    "times": (lines("time (s),G (uS),cell", *(f"{0.5 * p},{g},a" for p, g in reversed(list(enumerate(ROUND))))), {}),
    "side by side": (lines("pulse,d1 (uS),d2 (uS)", *(f"{p},{g},{g}" for p, g in enumerate(ROUND))), {"devices": 2}),
    "counted, without a head": (
        lines(*(f"{p} {g} {g} {g}" for p, g in enumerate(ROUND))),
        {"unit": "uS", "devices": 3},
    ),
    "currents": (
        lines("pulse,current (uA),device", *(f"{p},{0.1 * g},a" for p, g in enumerate(ROUND))),
        {"read_voltage": 0.1},
    ),
    "weights": (lines(*((g - 10) / 6 for g in ROUND)), {"unit": "1", "window": (10e-6, 16e-6)}),
    "signed weights": (lines(*((g - 13) / 3 for g in ROUND)), {"unit": "1", "window": (10e-6, 16e-6)}),
}


@pytest.mark.parametrize("case", WRITTEN)
def test_pulses_are_read_as_laboratories_write_them(tmp_path: Path, case: str) -> None:
    text, how = WRITTEN[case]
    path = tmp_path / "data.csv"
    path.write_text(text, encoding="utf-8")
    expected = [how["first"], *ROUND] if "first" in how else ROUND
    data = read_pulses(
        str(path), None if "first" not in how else 5, Scale(*(how.get(k) for k in ("unit", "read_voltage", "window")))
    )
    assert data.up == len(expected) - len(DOWN) and len(data.trains) == how.get("devices", 1)
    np.testing.assert_allclose(data.trains, np.tile(np.array(expected) * 1e-6, (len(data.trains), 1)), rtol=1e-12)


@pytest.mark.parametrize(
    ("head", "scale", "message"),
    [
        ("pulse,conductance,device", Scale(), "say their unit"),
        ("pulse,conductance (nA),device", Scale(), "--read-voltage"),
        ("pulse,conductance,device", Scale("furlong"), "no unit of a conductance"),
        ("pulse,conductance,device", Scale("1"), "--window"),
        ("pulse,conductance,device", Scale("1", None, (1e-6, 2e-6)), "0 to 1"),
        ("pulse,conductance,device", Scale("1", None, (2e-6, 1e-6)), "--window"),
        ("x,y,z", Scale(), "is missing"),
    ],
)
def test_units_that_cannot_be_are_asked_for(tmp_path: Path, head: str, scale: Scale, message: str) -> None:
    path = tmp_path / "data.csv"
    path.write_text(lines(head, *(f"{p},{g},a" for p, g in enumerate(ROUND))), encoding="utf-8")
    with pytest.raises(SpecError, match=message) as error:
        read_pulses(path, None, scale)
    assert len(str(error.value)) <= 400


@pytest.mark.parametrize(("spread", "noise"), [(0.004, 0.0), (0.004, 0.02), (0.002, 0.01), (0.0, 0.01)])
def test_noise_of_reads_is_told_from_the_spread_of_pulses(spread: float, noise: float) -> None:
    """In windows; 40 devices. Tolerances: the noise to 10 %, the spread to 25 % or 0.1 % of the window."""
    true = DeviceModel.load("wu2018").replace(cycle_to_cycle_window=spread or None)
    data = simulate(true, 40, stream_key(5, "noisy"))
    reads = np.random.default_rng(1).normal(size=data.trains.shape) * noise * true.window
    found = fit(PulseData(data.trains + reads, data.up), "noisy").device
    measured = found.sigma_read(found.g_max) / true.window
    assert measured == pytest.approx(noise, rel=0.1, abs=1e-9)
    assert found.cycle_to_cycle_window == pytest.approx(spread, rel=0.25, abs=0.001)


def test_data_that_do_not_rise_are_refused() -> None:
    data = simulate(DeviceModel.load("wu2018"), 2, stream_key(0, "flat"))
    with pytest.raises(SpecError, match="does not rise"):
        fit(type(data)(data.trains[:, ::-1] * 0 + 1e-6, data.up), "flat")
    with pytest.raises(SpecError, match="no such file"):
        read_pulses("absent.csv")
