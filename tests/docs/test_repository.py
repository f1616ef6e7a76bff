"""What stands beside the source agrees with it: pinned versions, and marks that the packages are typed."""

from __future__ import annotations

import re
import tomllib

import pytest

from tests import ROOT

PINNED = dict(re.findall(r"^([\w-]+)==(\S+)$", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.M))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_hooks_use_the_pinned_versions() -> None:
    hooks = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    found = re.findall(r"\[([\w-]+)==([\w.]+)\]", hooks)
    assert found
    assert [(name, version) for name, version in found if PINNED[name] != version] == []


def test_what_builds_the_documentation_is_pinned() -> None:
    names = [re.split(r"[<>=]", entry)[0] for entry in PROJECT["project"]["optional-dependencies"]["docs"]]
    assert [name for name in names if name not in PINNED] == []


@pytest.mark.parametrize("package", ["crossbar_sim", "peft_methods", "benchmarks"])
def test_a_package_that_ships_its_types_has_the_mark(package: str) -> None:
    assert "py.typed" in PROJECT["tool"]["setuptools"]["package-data"][package]
    assert (ROOT / package / "py.typed").is_file()
