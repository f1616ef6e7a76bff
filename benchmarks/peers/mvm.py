"""`python -m benchmarks.peers.mvm`: how fast the simulator is beside the machine's limits and other simulators."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Literal

import tyro
from tyro.conf import arg

from benchmarks.peers.case import Case, Timing, measure
from benchmarks.peers.products import case_b, case_c, case_d
from benchmarks.peers.systems import backward_case, case_e, case_model, case_program, case_step
from benchmarks.peers.update import case_update
from crossbar_sim.runtime.files import write_json

CASES: dict[str, Callable[[], Case]] = {
    "B": case_b,
    "C": case_c,
    "D": case_d,
    "E": case_e,
    "model": case_model,
    "program": case_program,
    "step": case_step,
    "backward": backward_case,
    "update": case_update,
}
PACKAGES = ("torch", "numpy", "numba", "llvmlite", "aihwkit", "cross-sim", "badcrossbar")


def main(
    case: Annotated[
        Literal["B", "C", "D", "E", "model", "program", "step", "backward", "update", "all"],
        arg(help="which work to do"),
    ] = "B",
    threads: Annotated[int, arg(metavar="N", help="compute threads")] = 1,
    rounds: Annotated[int, arg(metavar="N", help="how often each simulator runs")] = 15,
    json: Annotated[Path | None, arg(metavar="FILE", help="write the records as JSON")] = None,
) -> None:
    """Run a case on every simulator that is installed, interleaved; check that they agree; print a Markdown table."""
    print(machine(threads), flush=True)
    records: list[Timing] = []
    for name in CASES if case == "all" else (case,):
        work = CASES[name]()
        records += measure(work, threads, rounds)
        print(f"\n{table(work, records)}", flush=True)
    if json is not None:
        write_json(json, [record.as_json() for record in records])


def machine(threads: int) -> str:
    """Processor, versions and threads in one line."""
    processor = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        names = [
            line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")
        ]
        processor = names[0] if names else processor
    versions = []
    for package in PACKAGES:
        try:
            versions.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    python = platform.python_version()
    return f"{processor}; {threads} thread{'s' * (threads > 1)}; Python {python}, {', '.join(versions)}"


def table(case: Case, records: Sequence[Timing]) -> str:
    """A Markdown table of one case."""
    lines = [
        f"| {case.name}: {case.title} | median | least | GMAC/s | of the limit's time | error |",
        "|---|---|---|---|---|---|",
    ]
    for record in records:
        if record.case == case.name:
            rate = "" if record.gmac_per_s is None else f"{record.gmac_per_s:.3g}"
            error = "" if record.relative_error is None else f"{record.relative_error:.1e}"
            lines.append(
                f"| {record.simulator} | {1e3 * record.median_s:.3g} ms | {1e3 * record.least_s:.3g} ms | {rate} | "
                f"{record.times_limit:.2f} | {error} |"
            )
    return "\n".join(lines)


if __name__ == "__main__":
    tyro.cli(main, prog="python -m benchmarks.peers.mvm")
