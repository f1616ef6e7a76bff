"""The tables of in-context learning: ``python -m benchmarks.studies.in_context floor|tiles|transformer``.

floor: exact attention on keys with a fixed distortion or read noise; tiles: the same with keys that a chip computes;
transformer: the shipped transformer against the exact posterior, digital and on a chip.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.experiments.experiment import one_thread
from benchmarks.problems.in_context import (
    LinearPrompts,
    excess_error,
    load_regression_transformer,
    noise_floor,
    noise_floor_on_tiles,
)
from crossbar_sim import Hardware, map_model
from crossbar_sim.runtime.files import write_json

LENGTHS = (16, 64, 256, 512)


def designs(hardware: Hardware) -> dict[str, Hardware]:
    """Nothing, programming alone, read noise alone, and everything on."""
    ideal = hardware.ideal()
    noise = ideal.replace(device=ideal.device.replace(read_noise=hardware.device.read_noise))
    return {
        "ideal": ideal,
        "levels and programming error": hardware.without("read_noise", "dac", "adc"),
        "read noise": noise,
        "everything on": hardware,
    }


def transformer_ratios(hardware: Hardware, prompts: int, prompts_on_chip: int, seed: int) -> dict[str, list[float]]:
    """Excess error over that of the exact posterior mean after 0, 1, ... examples."""
    digital, _ = load_regression_transformer()
    mapped, _ = load_regression_transformer()
    map_model(mapped, hardware)
    runs = {"digital": (digital, prompts), "on the chip": (mapped, prompts_on_chip)}
    return {
        name: excess_error(model, LinearPrompts(), count, seed).ratio.tolist() for name, (model, count) in runs.items()
    }


def show(columns: Sequence[int], rows: Mapping[str, Sequence[float]]) -> str:
    """One line per condition, one column per number of examples."""
    lines = [f"{'examples':<32}" + "".join(f"{column:>9}" for column in columns)]
    lines += [f"{name:<32}" + "".join(f"{value:>9.3g}" for value in values) for name, values in rows.items()]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line: print one table, write it as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.studies.in_context", description=__doc__)
    parser.add_argument("table", choices=["floor", "tiles", "transformer"])
    parser.add_argument("--prompts", type=int, help="prompts per number of examples; floor 400, tiles 200, else 4000")
    parser.add_argument("--hardware", default="milo2021_128x128")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="write the rows as JSON to this file")
    options = parser.parse_args(arguments)
    rows: Mapping[str, Sequence[float]]
    with one_thread():
        columns: Sequence[int] = LENGTHS
        if options.table == "floor":
            rows = noise_floor(LinearPrompts(8), LENGTHS, options.prompts or 400, options.seed).errors
        elif options.table == "tiles":
            chips = designs(Hardware.load(options.hardware))
            rows = noise_floor_on_tiles(LinearPrompts(8), chips, LENGTHS, options.prompts or 200, options.seed).errors
        else:
            count = options.prompts or 4000
            found = transformer_ratios(Hardware.load(options.hardware), count, min(count, 250), options.seed)
            columns = (0, 4, 8, 16, 39)
            rows = {name: [ratio[column] for column in columns] for name, ratio in found.items()}
    print(show(columns, rows))
    if options.json is not None:
        write_json(
            options.json,
            [{"condition": name, "examples": list(columns), "values": list(values)} for name, values in rows.items()],
        )


if __name__ == "__main__":
    main()
