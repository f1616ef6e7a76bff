"""The command line: xbar compare | run | recalibrate | estimate | floorplan | sensitivity | quality | device | hardware
| methods."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Annotated, Literal

import tyro
from tyro.conf import Positional, arg

app = tyro.extras.SubcommandApp()

Json = Annotated[Path | None, arg(metavar="FILE", help="write records as JSON to FILE ('-' for standard output)")]
Runs = Annotated[Path, arg(metavar="FOLDER", help="where results are kept and looked up")]
Workers = Annotated[int, arg(metavar="N", help="processes that simulate side by side")]


@app.command
def compare(
    suite: Annotated[str, arg(metavar="TOML", help="a comparison file, or the name of one that ships")] = "default",
    /,
    hardware: Annotated[str | None, arg(metavar="NAME|TOML", help="use this hardware instead of the suite's")] = None,
    quick: Annotated[bool, arg(help="a smoke test: two tasks, one seed, few steps")] = False,
    report: Annotated[Path | None, arg(metavar="HTML", help="where to write the report")] = Path("report.html"),
    figures: Annotated[Path | None, arg(metavar="FOLDER", help="write its figures as SVG and PDF too")] = None,
    json: Json = None,
    runs: Runs = Path("runs"),
    workers: Workers = 2,
) -> None:
    """Fine-tune with every method on every task of a suite; print one table and write one report."""
    from benchmarks.experiments import suites
    from benchmarks.experiments.comparison import run_all
    from benchmarks.reporting.report import Report

    comparison = suites.load_comparison(suite, hardware=hardware, quick=quick)
    results = Report(run_all(comparison.experiments(), workers=workers, runs=runs))
    if json is not None:
        write_records(json, results.records())
    if str(json) != "-":
        print(results.table())
    if report is not None:
        print(f"report: {results.save(report)}", file=sys.stderr)
    if figures is not None:
        results.save_figures(figures)


@app.command
def run(
    suite: Annotated[Positional[str], arg(metavar="TOML", help="an experiment file, or the name of one that ships")],
    json: Json = None,
    runs: Runs = Path("runs"),
    workers: Workers = 2,
) -> None:
    """Run one experiment and print its result."""
    from benchmarks.experiments import suites
    from benchmarks.experiments.comparison import run_all

    (result,) = run_all([suites.load_experiment(suite)], workers=workers, runs=runs)
    if json is not None:
        write_records(json, [result.record()])
    if str(json) != "-":
        print(result)


Model = Annotated[str, arg(metavar="NAME|TOML", help="flan-t5-large, llama-7b, ..., or a file of layer shapes")]
MethodName = Annotated[str, arg(metavar="NAME", help="a method of `xbar methods`")]
HardwareName = Annotated[str, arg(metavar="NAME|TOML", help="the chip design")]


@app.command
def recalibrate(
    methods: Annotated[
        list[str], arg(metavar="NAME", help="methods; none: all that write no cell, and the others")
    ] = [],  # noqa: B006
    /,
    programming_error: Annotated[float, arg(metavar="X", help="multiply the device's programming error by this")] = 6.0,
    stuck: Annotated[float, arg(metavar="SHARE", help="share of cells that no pulse moves")] = 0.0,
    seconds: Annotated[float, arg(metavar="S", help="time since the chip was programmed")] = 0.0,
    hardware: Annotated[str, arg(metavar="NAME|TOML", help="the chip design")] = "milo2021_128x128",
    device: Annotated[str | None, arg(metavar="NAME|TOML", help="its cells; default: the design's own")] = None,
    shots: Annotated[int, arg(metavar="N", help="images per class to recalibrate with")] = 5,
    seeds: Annotated[tuple[int, ...], arg(metavar="N", help="one chip each")] = (0, 1, 2),
    json: Json = None,
    runs: Runs = Path("runs"),
) -> None:
    """Damage a chip and win its accuracy back with a few images of the task that it was shipped for."""
    from benchmarks.studies import recalibration

    records = recalibration.run_all(
        recalibration.experiments(
            methods,
            hardware=hardware,
            device=device,
            shots=shots,
            seeds=seeds,
            damage=recalibration.Damage(programming_error=programming_error, stuck=stuck, seconds=seconds),
        ),
        runs,
    )
    if json is not None:
        write_records(json, records)
    if str(json) != "-":
        print(recalibration.table(records))


@app.command
def estimate(
    model: Model = "flan-t5-large",
    method: MethodName = "lorafusion",
    hardware: HardwareName = "milo2021_128x128",
    placement: Annotated[Literal["crossbar", "sram"] | None, arg(help="where trained matrices live")] = None,
    steps: Annotated[int | None, arg(metavar="N", help="training steps; default: the method's")] = None,
    batch: Annotated[int | None, arg(metavar="N", help="samples per step; default: the method's")] = None,
    tokens: Annotated[int | None, arg(metavar="N", help="tokens per sample; default: the model's")] = None,
    inferences: Annotated[int, arg(metavar="N", help="samples classified after training")] = 100,
    changed_share: Annotated[float, arg(metavar="X", help="trained cells whose level changes in a step")] = 1.0,
    json: Json = None,
) -> None:
    """Count the whole bill of a method on a model of any size, without its weights."""
    from benchmarks.estimates import command as estimate_command

    record = estimate_command.estimate_record(
        model,
        method,
        hardware,
        placement=placement,
        steps=steps,
        batch=batch,
        tokens=tokens,
        inferences=inferences,
        changed_share=changed_share,
    )
    if json is not None:
        write_records(json, record)
    if str(json) != "-":
        print(estimate_command.datasheet(record))


@app.command
def floorplan(
    model: Model = "flan-t5-large",
    method: MethodName = "lorafusion",
    hardware: HardwareName = "milo2021_128x128",
    tiles_per_chip: Annotated[int | None, arg(metavar="N", help="also count chips")] = None,
    figure: Annotated[Path | None, arg(metavar="FILE", help="draw it: .png, .svg or .pdf")] = None,
    json: Json = None,
) -> None:
    """Tiles per layer and for what a method adds, their utilisation, and chips."""
    from benchmarks.estimates import floor_plan

    plan = floor_plan.plan_of(model, method, hardware, tiles_per_chip)
    if figure is not None:
        floor_plan.save_figure(figure, plan)
    if json is not None:
        write_records(json, plan.record())
    if str(json) != "-":
        print(plan)


@app.command
def sensitivity(
    model: Model = "digits-vit",
    methods: Annotated[tuple[str, ...], arg(metavar="NAME", help="methods to rank; default: all that fit")] = (),
    hardware: HardwareName = "milo2021_128x128",
    fitted: Annotated[bool, arg(help="vary fitted numbers too, not only assumed ones")] = False,
    changed_share: Annotated[float, arg(metavar="X", help="trained cells whose level changes in a step")] = 1.0,
    figure: Annotated[Path | None, arg(metavar="FILE", help="draw it: .png, .svg or .pdf")] = None,
    json: Json = None,
) -> None:
    """Halve and double every assumed number of a design: does the ranking of the methods by energy change?"""
    from benchmarks.estimates import sensitivity as study
    from crossbar_sim.counting.activity import Activity

    kinds = ("assumed", "fitted") if fitted else ("assumed",)
    activity = Activity(changed_share=changed_share)
    result = study.sensitivity(model, hardware, methods, kinds=kinds, activity=activity)
    if figure is not None:
        study.save_figure(figure, result)
    if json is not None:
        write_records(json, result.record())
    if str(json) != "-":
        print(result)


@app.command
def device(
    action: Annotated[Positional[Literal["list", "show", "check", "fit"]], arg(help="what to do")] = "list",
    what: Annotated[
        Positional[str], arg(metavar="NAME|TOML|CSV", help="a device for show and check, pulse data for fit")
    ] = "milo2021",
    name: Annotated[str, arg(metavar="NAME", help="fit: what to call the device")] = "my_device",
    like: Annotated[str, arg(metavar="NAME|TOML", help="fit: take voltages and times over from it")] = "wu2018",
    pulses_up: Annotated[int | None, arg(metavar="N", help="fit: SET pulses of the data; default: half")] = None,
    output: Annotated[Path | None, arg(metavar="TOML", help="fit: write the device to TOML")] = None,
    plot: Annotated[Path | None, arg(metavar="SVG", help="show, fit: draw the pulse response")] = None,
    json: Annotated[bool, arg(help="list, show: print JSON")] = False,
) -> None:
    """List devices, show a datasheet, check a file of yours, or fit a device to measured pulses."""
    from benchmarks.reporting import device_sheet as devices
    from crossbar_sim.devices import DeviceModel, device_names

    if action == "list":
        print(as_json(devices.catalogue()) if json else "\n".join(device_names()))
    elif action == "show":
        chosen = DeviceModel.load(what)
        print(as_json(devices.record(chosen)) if json else devices.datasheet(chosen))
        if plot is not None:
            devices.write_figure(plot, devices.response_figure(chosen))
    elif action == "check":
        print(devices.verdict(DeviceModel.load(what)))
    else:
        fit_device(Path(what), name, like, pulses_up, output, plot)


def fit_device(data: Path, name: str, like: str, pulses_up: int | None, output: Path | None, plot: Path | None) -> None:
    """Fit a device to a CSV file of pulse trains; print how well, write its TOML file and a figure."""
    from benchmarks.reporting import device_sheet as devices
    from crossbar_sim.devices.fit import fit, read_pulses
    from crossbar_sim.runtime.files import write_text

    fitted = fit(read_pulses(data, pulses_up), name, like)
    print(fitted)
    if output is not None:
        write_text(output, fitted.device.to_toml())
    if plot is not None:
        devices.write_figure(plot, devices.fit_figure(fitted))


@app.command
def hardware(
    action: Annotated[Positional[Literal["list", "show"]], arg(help="what to do")] = "list",
    name: Annotated[Positional[str], arg(metavar="NAME|TOML", help="for show")] = "milo2021_128x128",
    json: Annotated[bool, arg(help="print JSON")] = False,
) -> None:
    """List the chip designs, or show the datasheet of one: power, area, energy and throughput, array to chip."""
    from benchmarks.reporting import design_sheet as designs
    from crossbar_sim.hardware.hardware import Hardware, hardware_names
    from crossbar_sim.ledger.datasheet import datasheet

    if action == "list":
        print(as_json(designs.catalogue()) if json else "\n".join(hardware_names()))
    else:
        chosen = Hardware.load(name)
        print(as_json(designs.record(chosen)) if json else f"{chosen}\n{datasheet(chosen)}")


@app.command
def quality(
    hardware: Annotated[str, arg(metavar="NAME|TOML", help="the chip design")] = "milo2021_128x128",
    each: Annotated[bool, arg(help="also switch every non-ideality off alone")] = False,
    plot: Annotated[Path | None, arg(metavar="SVG", help="draw it")] = None,
    json: Json = None,
) -> None:
    """Measure how well every matrix of the backbone computes on a chip design: SNR, clipping, use of the ranges."""
    from benchmarks.reporting.device_sheet import write_figure
    from benchmarks.reporting.figures.quality import mapping_quality
    from benchmarks.studies.quality import backbone_quality
    from crossbar_sim.hardware.hardware import Hardware

    result = backbone_quality(Hardware.load(hardware), each=each)
    if plot is not None:
        write_figure(plot, mapping_quality(result))
    if json is not None:
        write_records(json, result.rows())
    if str(json) != "-":
        print(result)


@app.command
def methods(json: Json = None) -> None:
    """List the methods: where trained tensors live, how many cells a step may write, which reads they need."""
    from benchmarks.estimates.estimate import method_records

    records = method_records()
    if json is not None:
        write_records(json, records)
    if str(json) != "-":
        print(f"{'name':<18}{'cells/step':<14}{'transposed reads':<18}{'trained':<10}{'lives in':<54}extra reads")
        for row in records:
            written = f"up to {row['cells_written_per_step']:,}" if row["cells_written_per_step"] else "0"
            placed = ", ".join(f"{tensor}: {place}" for tensor, place in row["lives_in"].items())
            print(
                f"{row['method']:<18}{written:<14}{row['transposed_reads']!s:<18}{row['trained_values']:<10,}"
                f"{placed:<54}{row['extra_reads']}"
            )


def as_json(records: object) -> str:
    """JSON text; NaN and infinity are refused."""
    return json.dumps(records, indent=1, allow_nan=False)


def write_records(path: Path, records: object) -> None:
    """JSON to a file (atomically) or to standard output."""
    from crossbar_sim.runtime.files import write_json

    if str(path) == "-":
        print(as_json(records))
    else:
        write_json(path, records)


def main() -> None:
    """Run the command line; what the user can put right is one sentence and exit status 1."""
    from crossbar_sim.spec.errors import CrossbarError

    try:
        app.cli(prog="xbar", description=__doc__)
    except CrossbarError as error:
        sys.exit(f"xbar: {error}")
    except BrokenPipeError:
        # whoever reads the output has had enough; nothing may be written to the closed pipe on the way out
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        sys.exit("xbar: interrupted; finished runs are kept, the same command resumes")
