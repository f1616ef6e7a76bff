"""Problems are listed without loading any, and found by name: those that ship and those of installed packages."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.experiments.experiment import Experiment
from benchmarks.problems import find
from benchmarks.problems.catalogue import SHIPPED, lines
from benchmarks.problems.find import find_problem
from benchmarks.problems.problem import Problem, ProblemError
from crossbar_sim.spec.errors import CrossbarError

PACKAGE = """
import torch
from torch import nn
from benchmarks import Problem, Task

def mine():
    x, y = torch.randn(40, 3), torch.arange(40) % 2
    return Problem("mine", nn.Linear(3, 2), tasks=(Task.of("one", (x, y), (x, y)),), reference="mine")

def wrong():
    return 3
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "acme_problems.py").write_text(PACKAGE, encoding="utf-8")
    facts = tmp_path / "acme_problems-1.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-problems\nVersion: 1\n")
    points = ("mine = acme_problems:mine", "wrong = acme_problems:wrong", "wnut_ner = acme_problems:wrong")
    (facts / "entry_points.txt").write_text("[crossbar_sim.problems]\n" + "\n".join(points) + "\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    find._named.cache_clear()


@pytest.mark.usefixtures("package")
def test_a_package_offers_problems_by_entry_points() -> None:
    assert list(lines())[: len(SHIPPED)] == list(SHIPPED)
    assert lines()["mine"] == "of the package acme-problems"
    found = find_problem("mine")
    assert isinstance(found, Problem) and [task.name for task in found.tasks] == ["one"]
    with pytest.raises(ProblemError, match="the entry point 'wrong' gives a int; it must return a Problem"):
        find_problem("wrong")
    with pytest.raises(ProblemError, match="no problem 'mime'; did you mean 'mine'.*entry point of the group"):
        find_problem("mime")
    assert find_problem("wnut_ner").name == "wnut_ner"  # what ships prevails


def test_a_problem_equals_what_its_reference_finds_later() -> None:
    first = find_problem("digits_vit")
    find._named.cache_clear()
    again = find_problem("digits_vit")
    assert again is not first and again == first and hash(again) == hash(first)
    assert Experiment(method="lora", problem=first) == Experiment(method="lora", problem=again)
    mine = replace(first, reference=None)
    assert mine != first and mine != replace(mine) and mine == mine


@pytest.mark.parametrize("name", SHIPPED)
def test_a_problem_that_ships_is_what_the_list_says(name: str) -> None:
    found = find_problem(name)
    assert (found.name, found.about, found.reference) == (name, SHIPPED[name].about, name)


def test_the_list_loads_no_torch() -> None:
    script = "import sys; from benchmarks.cli import main; main(['problem', 'list']); assert 'torch' not in sys.modules"
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert [line.split()[0] for line in found.stdout.splitlines()][: len(SHIPPED)] == list(SHIPPED)


def test_problems_by_wrong_names_are_refused_in_a_sentence() -> None:
    with pytest.raises(CrossbarError, match="did you mean 'minilm_text'") as refused:
        find_problem("minilm")
    assert len(str(refused.value)) <= 400
