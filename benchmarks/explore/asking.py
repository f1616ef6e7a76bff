"""What of an exploration is asked for on a command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.experiments.suites import suite_names
from benchmarks.explore.exploration import Exploration
from benchmarks.explore.space import AnyVaried, Choices, Plain, Span
from benchmarks.explore.suites import SHELF, load_exploration
from crossbar_sim import SpecError


def parse_vary(words: Sequence[str]) -> dict[str, AnyVaried]:
    """'path=64,128' is a list, 'path=4:8' a range (whole numbers if both are), 'path=1e-3:1e-1:log' a logarithmic one,
    'path*=0.5:4' factors on what the base design states, 'path=other' a tie to another of the words."""
    paths = [word.partition("=")[0].removesuffix("*") for word in words]
    return {path: _varied(word, paths) for path, word in zip(paths, words, strict=True)}


def _varied(word: str, paths: Sequence[str]) -> AnyVaried:
    path, equals, text = word.partition("=")
    if not equals or not text or not path.removesuffix("*"):
        raise SpecError(
            f"--vary: '{word}' says nothing; write path=64,128 for a list, path=4:8 or path=1e-3:1e-1:log for a range, "
            "path*=0.5:4 for factors"
        )
    if text in paths and text != path:
        return text
    shared: dict[str, Any] = {"times": True} if path.endswith("*") else {}
    if ":" in text and "," not in text:
        ends = text.split(":")
        log = ends[-1] == "log"
        numbers = [plain(end) for end in (ends[:-1] if log else ends)]
        if len(numbers) != 2 or any(isinstance(one, str | bool) for one in numbers):
            raise SpecError(f"--vary: '{word}' is no range; write path=4:8, or path=1e-3:1e-1:log")
        return Span(**{"low": numbers[0], "high": numbers[1], "log": log, **shared})
    return Choices(**{"values": tuple(plain(part) for part in text.split(",")), **shared})


def plain(text: str) -> Plain:
    """A number, true or false, or the text itself."""
    if text in ("true", "false"):
        return text == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def choose(
    exploration: Exploration,
    *,
    designs: int | None = None,
    simulations: int | None = None,
    sampler: str | None = None,
    seed: int | None = None,
    more_seeds: int | None = None,
) -> Exploration:
    """The exploration as it was asked for; None: as it stands; simulations: 0: of all designs."""
    asked: Mapping[str, object] = {"designs": designs, "sampler": sampler, "seed": seed}
    search = {name: value for name, value in asked.items() if value is not None}
    if simulations is not None:
        search["simulations"] = simulations or None
    changes: dict[str, Any] = {"search": exploration.search.replace(**search)} if search else {}
    if more_seeds is not None:
        changes["more_seeds"] = more_seeds
    return exploration.replace(**changes) if changes else exploration


def at_random(exploration: Exploration) -> Exploration:
    """The same exploration with designs drawn by chance, as many as were to be simulated."""
    search = exploration.search
    drawn = search.replace(designs=search.simulations or search.designs, simulations=None, sampler="random")
    return exploration.replace(search=drawn)


def from_words(words: Sequence[str], vary: Sequence[str], *, method: str, problem: str, hardware: str) -> Exploration:
    """The exploration that the words begin with, or that of `vary` around a method, a problem and a design."""
    varied = parse_vary(vary)
    if words and not (varied and words[0].isdecimal()):
        exploration = load_exploration(words[0])
        return exploration.replace(vary={**exploration.vary, **varied}) if varied else exploration
    if not varied:
        raise SpecError(
            "nothing to explore; give a file, the name of one that ships "
            f"({', '.join(suite_names(SHELF))}), or --vary tile.rows=64,128"
        )
    stated = {"name": "varied", "vary": varied, "method": method, "problem": problem, "hardware": hardware}
    return Exploration(**stated)


def design_and_file(words: Sequence[str]) -> tuple[int, str]:
    """The number of a design and the file to save it in, the last two words."""
    if len(words) < 2 or not words[-2].isdecimal():
        raise SpecError("save: give the number of a design and a file, for example 17 chip.toml")
    return int(words[-2]), words[-1]


def file_of(words: Sequence[str]) -> str:
    """The file, the last word."""
    if not words or (len(words) == 1 and words[0].endswith(".toml")):
        raise SpecError("export: give a file to write, for example journal.log")
    return words[-1]
