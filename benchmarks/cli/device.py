"""Commands about what a chip is made of: device, hardware, quality."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import Positional, arg

from benchmarks.cli.options import (
    DEFAULT_HARDWARE,
    DEFAULT_PROBLEM,
    STANDARD_OUTPUT,
    FigureFile,
    Json,
    OwnHardware,
    ProblemName,
)
from benchmarks.cli.show import check_outputs, show

if TYPE_CHECKING:
    from crossbar_sim.devices.pulse_data import PulseData

PrintJson = Annotated[bool, arg(help="list, show: print JSON")]


def device(
    action: Annotated[Positional[Literal["list", "show", "check", "fit"]], arg(help="what to do")] = "list",
    what: Annotated[
        Positional[str], arg(metavar="NAME|TOML|CSV", help="a device for show and check, pulse data for fit")
    ] = "milo2021",
    *,
    name: Annotated[str, arg(metavar="NAME", help="fit: what to call the device")] = "my_device",
    like: Annotated[str, arg(metavar="NAME|TOML", help="fit: take voltages and times over from it")] = "wu2018",
    pulses_up: Annotated[int | None, arg(metavar="N", help="fit: SET pulses of the data; default: half")] = None,
    unit: Annotated[str | None, arg(metavar="UNIT", help="fit: of the data: uS, nS, uA, ... or 1 for weights")] = None,
    read_voltage: Annotated[float | None, arg(metavar="V", help="fit: that currents were read at")] = None,
    window: Annotated[tuple[float, float] | None, arg(metavar="S", help="fit: siemens of weights")] = None,
    output: Annotated[Path | None, arg(metavar="TOML", help="fit: write the device to TOML")] = None,
    plot: Annotated[Path | None, arg(metavar="FILE", help="show, fit: draw the pulse response")] = None,
    json: PrintJson = False,
) -> None:
    """List devices, show a datasheet, check a file of yours, or fit a device to measured pulses."""
    from benchmarks.reporting import device_sheet
    from crossbar_sim.devices import DeviceModel, device_names

    to = STANDARD_OUTPUT if json else None
    if action == "list":
        show(device_sheet.catalogue() if json else [], "\n".join(device_names()), to)
    elif action == "show":
        chosen = DeviceModel.load(what)
        sheet = device_sheet.sheet_of(chosen)
        show(sheet, sheet, to, plot, chosen)
    elif action == "check":
        print(device_sheet.verdict(DeviceModel.load(what)))
    else:
        from crossbar_sim.devices.pulse_data import Scale, read_pulses

        fit_device(read_pulses(what, pulses_up, Scale(unit, read_voltage, window)), name, like, output, plot)


def fit_device(data: PulseData, name: str, like: str, output: Path | None, plot: Path | None) -> None:
    """Fit a device to pulse trains; print how well, write its TOML file and a figure."""
    from crossbar_sim.devices.fit import fit
    from crossbar_sim.runtime.files import write_text

    check_outputs(output, plot)
    fitted = fit(data, name, like)
    show([], fitted, None, plot, fitted)
    if output is not None:
        write_text(output, fitted.device.to_toml())


def hardware(
    action: Annotated[Positional[Literal["list", "show"]], arg(help="what to do")] = "list",
    name: Annotated[Positional[str], arg(metavar="NAME|TOML", help="for show")] = DEFAULT_HARDWARE,
    json: PrintJson = False,
) -> None:
    """List the chip designs, or show the datasheet of one: power, area, energy and throughput, array to chip."""
    from benchmarks.reporting import design_sheet
    from crossbar_sim.hardware.hardware import Hardware, hardware_names
    from crossbar_sim.ledger.datasheet import datasheet

    to = STANDARD_OUTPUT if json else None
    if action == "list":
        show(design_sheet.catalogue() if json else [], "\n".join(hardware_names()), to)
    else:
        chosen = Hardware.load(name)
        show(design_sheet.record(chosen), f"{chosen}\n{datasheet(chosen)}", to)


def quality(
    problem: ProblemName = DEFAULT_PROBLEM,
    hardware: OwnHardware = None,
    task: Annotated[str | None, arg(metavar="NAME", help="the task whose inputs are read; default: the first")] = None,
    each: Annotated[bool, arg(help="also switch every non-ideality off alone")] = False,
    plot: FigureFile = None,
    json: Json = None,
) -> None:
    """Measure how well every matrix of a model computes on a chip design: SNR, clipping, use of the ranges."""
    from benchmarks.problems.find import find_problem
    from benchmarks.studies.quality import problem_quality
    from crossbar_sim.hardware.hardware import Hardware

    check_outputs(json, plot)
    design = None if hardware is None else Hardware.load(hardware)
    found = problem_quality(find_problem(problem), design, task=task, each=each)
    show(found.rows(), found, json, plot, found)
