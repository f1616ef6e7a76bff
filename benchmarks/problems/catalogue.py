"""The problems that there are, without loading any: those that ship, and those of installed packages."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points

GROUP = "crossbar_sim.problems"
"""Entry points of this group name functions that return a Problem."""


@dataclass(frozen=True)
class Shipped:
    """where: the function that makes it, as 'module:function'. about: a line on where it comes from."""

    where: str
    about: str


MINILM = "all-MiniLM-L6-v2"
SMOLLM2 = "SmolLM2-135M-Instruct (4-bit weights)"
SHIPPED: dict[str, Shipped] = {
    name: Shipped(f"benchmarks.problems.shipped.{name}:problem", about)
    for name, about in {
        "digits_vit": "8 x 8 digits of scikit-learn under domain shifts; a vision transformer of 103,000 weights",
        "minilm_text": f"{MINILM} (22.7 million weights, 10.6 million on tiles) and sentences of real data sets",
        "wnut_ner": f"{MINILM} and named entities in tweets (WNUT 2016, a split of its training part)",
        "smollm2_text": f"{SMOLLM2}, asked for the sentiment of texts and the types of questions",
        "smollm2_perplexity": f"{SMOLLM2} and how well it foretells the tokens of sentences",
    }.items()
}
"""By name, in the order of lists."""


def installed() -> dict[str, EntryPoint]:
    """The entry points of installed packages, by the name of the problem."""
    return {point.name: point for point in entry_points(group=GROUP)}


def problem_names() -> list[str]:
    """The problems that ship, then those of installed packages."""
    return list(lines())


def lines() -> dict[str, str]:
    """A line on every problem by its name; of one of a package, which package that is."""
    ships = {name: one.about for name, one in SHIPPED.items()}
    packaged = {name: f"of the package {_package(point)}" for name, point in sorted(installed().items())}
    return {**ships, **{name: about for name, about in packaged.items() if name not in ships}}


def _package(point: EntryPoint) -> str:
    return point.module if point.dist is None else point.dist.name
