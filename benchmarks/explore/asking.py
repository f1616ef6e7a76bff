"""What of an exploration is asked for on a command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.explore.exploration import Exploration
from benchmarks.explore.samplers import Sampler
from benchmarks.explore.space import AnyVaried, Choices, Plain, Span
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
    sampler: Sampler | None = None,
    seed: int | None = None,
    more_seeds: int | None = None,
) -> Exploration:
    """The exploration as it was asked for; None: as it stands."""
    asked: Mapping[str, object] = {"designs": designs, "sampler": sampler, "seed": seed}
    search = {name: value for name, value in asked.items() if value is not None}
    changes: dict[str, Any] = {"search": exploration.search.replace(**search)} if search else {}
    if more_seeds is not None:
        changes["more_seeds"] = more_seeds
    return exploration.replace(**changes) if changes else exploration
