"""`python -m benchmarks.peers.step_profile`: where the time of fine-tuning steps goes."""

from __future__ import annotations

import cProfile
import pstats
import time
from collections import defaultdict
from typing import Any

import tyro

from benchmarks.peers.case import OURS, threads
from benchmarks.peers.systems import case_step

GROUPS = {
    "compiled reads": ("crossbar_sim/reading/compiled/",),
    "around reads": ("crossbar_sim/reading/", "runtime/threads.py"),
    "compiled programming": ("crossbar_sim/cells/compiled/", "crossbar_sim/mapping/compiled.py", "devices/compiled.py"),
    "around programming": (
        "crossbar_sim/cells/",
        "crossbar_sim/mapping/",
        "crossbar_sim/devices/",
        "crossbar_sim/wires/",
    ),
    "matrix and layers": ("crossbar_sim/chip/", "crossbar_sim/layers/"),
    "billing": ("crossbar_sim/ledger/",),
    "counting digital work": ("flop_counter.py", "_python_dispatch.py", "digital_operations.py"),
    "method and loop": ("peft_methods/", "benchmarks/"),
    "torch": ("torch/", "torch._C"),
}


def main() -> None:
    """Profile the analog side of case step after a warm-up; print each group's share of the time in its own code."""
    run = case_step().runs[f"{OURS}, tiles"]
    profile = cProfile.Profile(time.process_time)
    with threads(1):
        run()
        profile.runcall(run)
    shares: dict[str, float] = defaultdict(float)
    found: Any = pstats.Stats(profile)  # its types do not show what it has read
    for (file, _, name), (_, _, own, _, _) in found.stats.items():
        shares[group(f"{file}:{name}")] += own
    total = sum(shares.values())
    print("| part | share |\n|---|---|")
    for part, seconds in sorted(shares.items(), key=lambda item: -item[1]):
        print(f"| {part} | {seconds / total:.0%} |")


def group(place: str) -> str:
    """The group of a function, by its file and name."""
    for name, marks in GROUPS.items():
        if any(mark in place for mark in marks):
            return name
    return "numpy and Python"


if __name__ == "__main__":
    tyro.cli(main, prog="python -m benchmarks.peers.step_profile")
