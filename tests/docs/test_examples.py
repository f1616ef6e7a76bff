"""The programs of the gallery are numbered, short, and built from public names; `make docs` runs each of them."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests import ROOT

EXAMPLES = sorted((ROOT / "examples").glob("plot_*.py"))
LONGEST = 80  # lines


def test_the_examples_are_numbered_from_one() -> None:
    assert [int(path.name.split("_")[1]) for path in EXAMPLES] == list(range(1, len(EXAMPLES) + 1))
    assert len(EXAMPLES) >= 6


@pytest.mark.parametrize("path", EXAMPLES, ids=[path.stem for path in EXAMPLES])
def test_an_example_has_its_number_in_the_title_says_what_it_asks_and_draws(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    title = (ast.get_docstring(tree) or "").splitlines()[0]
    assert title.startswith(f"{int(path.name.split('_')[1])}. ")
    assert "plt.show()" in text
    assert len(text.splitlines()) <= LONGEST


@pytest.mark.parametrize("path", EXAMPLES, ids=[path.stem for path in EXAMPLES])
def test_an_example_imports_public_names(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imported = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    for node in imported:
        assert not any(alias.name.startswith("_") for alias in node.names)
        assert not re.search(r"compiled|\b_", node.module or "")
