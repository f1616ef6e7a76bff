"""Names of the project that the documentation mentions exist, and every public name is in the reference."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest

import benchmarks
import crossbar_sim
import peft_methods
from benchmarks.problems.catalogue import GROUP
from tests import ROOT
from tests.docs.test_docs import NAMES, PAGES

DOTTED = re.compile(r"(?<![\w./])((?:crossbar_sim|peft_methods|benchmarks)(?:\.\w+)+)")
PATHS = re.compile(r"(?<![\w./])((?:crossbar_sim|peft_methods|benchmarks|tests|docs|examples)/[\w./-]*\w\.\w+)")
FILES = {"py", "md", "toml", "svg", "bib"}


def exists(name: str) -> bool:
    """Whether a dotted name is a module, something that a module has, or the group of entry points."""
    if name == GROUP:
        return True
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        try:
            found = import_module(".".join(parts[:end]))
        except ModuleNotFoundError:
            continue
        for part in parts[end:]:
            if not hasattr(found, part):
                return False
            found = getattr(found, part)
        return True
    return False


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_name_and_path_of_the_project_on_a_page_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    names = {name for name in DOTTED.findall(text) if name.rsplit(".", 1)[1] not in FILES}
    assert sorted(name for name in names if not exists(name)) == []
    assert sorted(path for path in set(PATHS.findall(text)) if not (ROOT / path).exists()) == []


@pytest.mark.parametrize("package", [crossbar_sim, peft_methods, benchmarks])
def test_every_public_name_of_a_package_is_in_the_reference(package: object) -> None:
    name = package.__name__  # type: ignore[attr-defined]
    text = (ROOT / "docs" / "api" / f"{name}.md").read_text(encoding="utf-8")
    missing = [public for public in package.__all__ if f"{name}.{public}" not in text]  # type: ignore[attr-defined]
    assert missing == []
