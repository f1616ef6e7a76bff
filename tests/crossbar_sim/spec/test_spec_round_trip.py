"""Every kind of spec goes to TOML and comes back equal, with the same digest; none is forgotten here."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import tomllib
from collections.abc import Iterator
from typing import Any

import pytest

import benchmarks
import crossbar_sim
import peft_methods
from benchmarks.estimates.changed_share import ChangedShare, measured_shares
from benchmarks.estimates.estimate import Workload
from benchmarks.experiments.comparison import Comparison
from benchmarks.experiments.experiment import Experiment
from benchmarks.explore.clusters import Queue
from benchmarks.explore.exploration import Exploration
from benchmarks.explore.suites import load_exploration
from benchmarks.problems.fetching import known_packages
from benchmarks.problems.from_file.problem_file import ProblemFile, TaskFile
from benchmarks.problems.model_file import LayerShape, ModelFile
from benchmarks.record import Record
from benchmarks.streams.comparison import StreamComparison
from benchmarks.streams.stream import Stream
from benchmarks.studies.recalibration import Damage, Recalibration
from crossbar_sim import DeviceModel, Hardware
from crossbar_sim.counting.activity import Activity
from crossbar_sim.devices import Arrhenius, Lifetime, device_names
from crossbar_sim.hardware.architecture import WriteCircuits
from crossbar_sim.hardware.hardware import hardware_names
from crossbar_sim.hardware.wear_levelling import WearLevelling
from crossbar_sim.spec.spec import SourcedSpec, Spec
from peft_methods import METHODS, RULES, FullFineTuning
from tests.benchmarks.explore.small import ERROR, TILE
from tests.conftest import ASSUMED, OTHER_EFFECTS

NOT_BUILT = {
    "Spec",
    "Varied",
    "SourcedSpec",
    "SourcedLaw",
    "Method",
    "LowRank",
    "TrainedPair",
    "GradientFree",
    "PoolMethod",
    "TargetedMethod",
    "UpdateRule",
    "BlindRule",
    "StatedSteps",
}
"""Only others are made of them."""
PASSIVE = DeviceModel.load("milo2021").replace(
    **OTHER_EFFECTS,
    lifetime=Lifetime(distribution="weibull", shape=2.0, **ASSUMED),
    heat=Arrhenius(activation_energy=1.6e-19, reference_temperature=300, temperature=358, **ASSUMED),
    device_to_device=0.3,
    device_to_device_distribution="log_normal",
    pulses_may_reverse=True,
)
SPECIMENS: list[Spec] = [
    *map(DeviceModel.load, device_names()),
    *map(Hardware.load, hardware_names()),
    PASSIVE,
    Hardware.load("milo2021_128x128").replace(
        device=PASSIVE,
        wear_levelling=WearLevelling(policy="row_swap", interval=10),
        write_circuits=WriteCircuits(word_line_voltage=1.7),
    ),
    *(kind() for kind in METHODS.values()),
    *(kind() for kind in RULES.values()),
    Experiment(method=FullFineTuning()),
    Recalibration(method=FullFineTuning(), damage=Damage(stuck=0.1)),
    Comparison(name="one", methods=({"name": "lora", "rank": 4},), tasks=("fliplr+dim",)),
    Stream(method=FullFineTuning(), requests=("occlude",)),
    StreamComparison(name="some", methods=({"name": "lora", "rank": 4},), own_tiles=("lora",)),
    Workload(tokens=3),
    measured_shares(),
    ChangedShare(share=0.1, low=0.05, high=1.0, source="stated"),
    ModelFile(name="m", layers=(LayerShape(name="q", inputs=3, outputs=4, tokens=5),), targets=("q",)),
    ProblemFile(
        name="reviews",
        model="my_bert",
        task_type="text-classification",
        tasks=(TaskFile(name="films", train="train.csv", test="test.csv", labels=("bad", "good")),),
        shots_per_class=16,
    ),
    known_packages(),
    load_exploration("adc_and_array"),
    Exploration(**{"name": "x", "vary": TILE | ERROR, "method": "lora", "constraints": {"tiles": {"at_most": 100}}}),
    Queue(queue="slurm", script=("source venv/bin/activate",)),
    Activity(changed_share=0.5, levels={"deploy": (0.5, 0.5)}, changes=((0, 1, 0.25),)),
]


def inside(value: Any) -> Iterator[Spec]:
    """The specs in a value, at any depth."""
    if isinstance(value, Spec):
        yield value
        for name in type(value).model_fields:
            yield from inside(getattr(value, name))
    elif isinstance(value, dict | list | tuple):
        for item in value.values() if isinstance(value, dict) else value:
            yield from inside(item)


def kinds(base: type[Spec]) -> Iterator[type[Spec]]:
    for kind in base.__subclasses__():
        yield kind
        yield from kinds(kind)


FOUND = list({(type(spec).__name__, spec.digest()): spec for one in SPECIMENS for spec in inside(one)}.values())


def test_every_spec_comes_back_from_toml() -> None:
    for spec in FOUND:
        text = spec.to_toml()
        again = type(spec).from_document(tomllib.loads(text), "copy")
        assert again == spec and again.digest() == spec.digest() and hash(again) == hash(spec), text
        assert again.to_toml() == text


def test_no_kind_of_spec_is_forgotten() -> None:
    for package in (crossbar_sim, peft_methods, benchmarks):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if ".peers" not in module.name:
                importlib.import_module(module.name)
    packages = ("crossbar_sim.", "peft_methods.", "benchmarks.")
    results = {Record, *kinds(Record)}  # nobody states these in TOML
    shipped = {kind.__name__ for kind in set(kinds(Spec)) - results if kind.__module__.startswith(packages)}
    built = {type(spec).__name__ for spec in FOUND}
    assert shipped - NOT_BUILT - built == set()
    assert all(not inspect.isabstract(type(spec)) for spec in FOUND)


@pytest.mark.parametrize("name", device_names())
def test_provenance_survives(name: str) -> None:
    device = DeviceModel.load(name)
    again = DeviceModel.from_document(tomllib.loads(device.to_toml()), "copy")
    assert isinstance(again, SourcedSpec) and again.provenance == device.provenance
    assert again.sources() == device.sources()
