"""The documentation is executed: every Python example of every page runs, and what it claims to print it prints."""

from __future__ import annotations

import contextlib
import io
import json
import re
import shlex
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

import pytest

from benchmarks.cli import main
from benchmarks.cli.app import app
from benchmarks.estimates.counted import Workload
from benchmarks.problems.model_file import LayerShape, ModelFile
from crossbar_sim import DeviceModel, Hardware
from crossbar_sim.counting.activity import Activity
from crossbar_sim.devices import (
    Arrhenius,
    CurrentVoltage,
    Disturbance,
    FlickerNoise,
    IncrementalAmplitude,
    Lifetime,
    LogRelaxation,
    PowerLawDrift,
    StateLaw,
    TelegraphNoise,
)
from crossbar_sim.hardware.adc_circuits import CIRCUITS
from crossbar_sim.hardware.architecture import Architecture, Component, WriteCircuits
from crossbar_sim.hardware.components import COMPONENTS
from crossbar_sim.hardware.converters import ADC, DAC
from crossbar_sim.hardware.digital import ActivationMemory, Digital
from crossbar_sim.hardware.tile import TileSpec
from crossbar_sim.layers.model import KINDS
from crossbar_sim.spec.spec import Spec
from peft_methods import METHODS, RULES
from peft_methods.phases import PHASES
from tests import ROOT

PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted(page for page in (ROOT / "docs").rglob("*.md") if not {"_build", "gallery"} & {*page.parts}),
]
NAMES = [page.relative_to(ROOT).as_posix() for page in PAGES]
FAMILIES: tuple[dict[Any, Any], ...] = (METHODS, RULES, KINDS, CIRCUITS)
"""Tables that an example may add a member to."""
BLOCK = re.compile(
    r"(?:<!-- (?P<mark>output|file: \S+|needs \w+) -->\n\s*)?^```(?P<language>\w+)\n(?P<text>.*?)^```$", re.M | re.S
)


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its text, the line its text starts on, and the comment above it."""

    language: str
    text: str
    line: int
    mark: str


def blocks(page: Path) -> Iterator[Block]:
    content = page.read_text(encoding="utf-8")
    for match in BLOCK.finditer(content):
        line = content.count("\n", 0, match.start("text")) + 1
        yield Block(match["language"], match["text"], line, match["mark"] or "")


def run(block: Block, page: Path, namespace: dict[str, Any]) -> str:
    """Execute Python, or the `$ xbar ...` lines of a console block; returns what was printed."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        if block.language == "python":
            # empty lines in front: a traceback names the line of the page
            exec(compile("\n" * (block.line - 1) + block.text, str(page), "exec"), namespace)
        else:
            for line in block.text.splitlines():
                with mock.patch.object(sys, "argv", shlex.split(line.removeprefix("$ "))):
                    main()
    return printed.getvalue()


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_examples_run_and_print_what_they_say(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    module = ModuleType("docs_page")  # classes defined on a page look their annotations up in their module
    monkeypatch.setitem(sys.modules, module.__name__, module)
    printed = None
    with ExitStack() as stack:
        for family in FAMILIES:
            stack.enter_context(mock.patch.dict(family))
        for block in blocks(page):
            if block.mark == "output":
                assert printed is not None, f"{page.name}, line {block.line}: no example above this output"
                assert printed.strip() == block.text.strip(), f"{page.name}, line {block.line}"
            elif block.mark.startswith("file: "):
                Path(block.mark.removeprefix("file: ")).write_text(block.text, encoding="utf-8")
                continue
            if block.mark.startswith("needs "):
                pytest.importorskip(block.mark.removeprefix("needs "), reason="the rest of this page needs it")
            if block.language in ("python", "console"):
                printed = run(block, page, vars(module))


def text_of(name: str) -> str:
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def missing(page: str, names: Iterator[str] | list[str]) -> list[str]:
    """Names that the page does not mention as code."""
    text = text_of(page)
    return [name for name in names if f"`{name}`" not in text]


SPECS = (
    Architecture,
    Component,
    WriteCircuits,
    DeviceModel,
    Lifetime,
    PowerLawDrift,
    LogRelaxation,
    StateLaw,
    FlickerNoise,
    TelegraphNoise,
    Arrhenius,
    IncrementalAmplitude,
    Disturbance,
    CurrentVoltage,
    TileSpec,
    DAC,
    ADC,
    Digital,
    ActivationMemory,
    ModelFile,
    LayerShape,
    Workload,
    Activity,
)


@pytest.mark.parametrize("spec", SPECS)
def test_every_key_of_a_file_is_described(spec: type[Spec]) -> None:
    assert missing("files.md", [name for name in spec.model_fields if name != "provenance"]) == []


def test_every_key_of_a_record_is_described(tmp_path: Path) -> None:
    from benchmarks import Experiment
    from benchmarks.estimates.estimate import estimate
    from benchmarks.estimates.floor_plan import plan_of
    from benchmarks.estimates.sensitivity import sensitivity
    from benchmarks.reporting import design_sheet as designs
    from benchmarks.streams.record import RequestStep, StreamRecord, StreamSeed, TaskStep

    experiment = Experiment(method={"name": "linear-probe", "steps": 1}, seeds=[0])
    result = experiment.run(tmp_path)
    seed = result.seeds[0].as_json()
    stored = json.loads((experiment.folder(tmp_path) / "result.json").read_text(encoding="utf-8"))
    nested = [*seed["curve"][0], *seed["worn_tile"], *seed["ledger"][0], *seed["energy_by_phase_J"]]
    counts = estimate("digits-vit", "lora", "milo2021_128x128").as_json()
    design = designs.record(Hardware.load("isaac_ce")).as_json()
    shown = [*design, *design["levels"][0], *design["numbers"][0], *designs.catalogue()[0].as_json()]
    plan = plan_of("digits-vit", "lora", "milo2021_128x128").record().as_json()
    study = sensitivity(methods=("linear-probe",)).record().as_json()
    flat = [*StreamRecord.model_fields, *TaskStep.model_fields, *RequestStep.model_fields, *StreamSeed.model_fields]
    further = [*flat, *counts, *plan, *plan["matrices"][0], *study, *study["variations"][0], *shown]
    assert missing("files.md", [*seed, *nested, *result.record().as_json(), *stored, *further]) == []


def test_every_method_component_phase_and_command_is_described() -> None:
    assert missing("methods.md", list(METHODS)) == []
    assert missing("physics/ledger.md", [*COMPONENTS, *PHASES]) == []
    commands = re.search(r"\{([\w,]+)\}", help_text())
    assert commands is not None
    assert [name for name in commands[1].split(",") if f"`xbar {name}" not in text_of("command-line.md")] == []


def help_text() -> str:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
        app.cli(prog="xbar", args=["--help"])
    return printed.getvalue()


def test_the_picture_is_well_formed_and_names_the_flow() -> None:
    texts = {element.text for element in ElementTree.parse(ROOT / "docs" / "flow.svg").iter()}
    assert {"DeviceModel", "Tile", "MappedLinear", "backbone", "Method", "training loop", "Ledger", "Report"} <= texts


def test_links_between_pages_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8")):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name} links to {target}"
