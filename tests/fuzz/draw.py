"""Values that nobody expects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np

T = TypeVar("T")
HOSTILE: tuple[Any, ...] = (
    0,
    -1,
    1,
    2,
    3,
    0.0,
    -0.5,
    1e-310,
    1e-40,
    1e-12,
    1e-3,
    0.999,
    1e3,
    1e12,
    1e38,
    1e200,
    1e300,
    2**31,
    2**63,
    10**30,
    float("nan"),
    float("inf"),
    float("-inf"),
    True,
    None,
    "",
    "x",
    "1e-6",
    "a" * 3000,
    (),
    [],
    [1, 2],
    {},
    {"value": 1},
    {"value": 3.0, "unit": "uS", "source": "milo2021", "kind": "assumed"},
    {"value": 1e400, "unit": "parsec", "source": "", "kind": "measured"},
)


def pick(draw: np.random.Generator, choices: Sequence[T]) -> T:
    """One of them."""
    return choices[int(draw.integers(len(choices)))]


def changed(draw: np.random.Generator, value: Any) -> Any:
    """Something else for a value: a hostile one, or the same made larger or smaller."""
    if isinstance(value, bool) or not isinstance(value, int | float) or draw.random() < 0.25:
        return pick(draw, HOSTILE)
    factor = 10.0 ** draw.uniform(-3, 3) if draw.random() < 0.7 else 10.0 ** draw.integers(-30, 30)
    return max(1, round(value * factor)) if isinstance(value, int) else value * factor


def places(tree: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Ways to every value inside nested dicts and lists, the inner nodes too."""
    inner = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    return ([at] if at else []) + [way for key, part in inner for way in places(part, (*at, key))]


def put(tree: Any, way: tuple[Any, ...], value: Any) -> None:
    """Set the value at the end of a way; where the way was changed before, nothing happens."""
    for key in way[:-1]:
        try:
            tree = tree[key]
        except (KeyError, IndexError, TypeError):
            return
    if isinstance(tree, dict | list) and (isinstance(tree, dict) or isinstance(way[-1], int)):
        tree[way[-1]] = value


def at(tree: Any, way: tuple[Any, ...]) -> Any:
    """The value at the end of a way."""
    for key in way:
        tree = tree[key]
    return tree
