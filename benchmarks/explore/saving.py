"""What others can use of an exploration: a design as a hardware file, evaluations as rows, a journal for Optuna."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

from benchmarks.experiments.storage import RUNS
from benchmarks.explore.exploration import Exploration
from benchmarks.explore.findings import Findings
from benchmarks.explore.importance import asked_of
from benchmarks.explore.looking import as_far_as_known
from benchmarks.explore.objectives import COUNTED
from benchmarks.explore.samplers import distribution
from crossbar_sim import SpecError
from crossbar_sim.runtime.files import check_file, write_text
from crossbar_sim.spec.errors import FileError


def save_design(exploration: Exploration, number: int, file: str | Path, *, runs: str | Path = RUNS) -> Path:
    """Write the chip of a design as a hardware file, every changed number with what it was; returns the path.

    SpecError for a design that was not proposed, or that cannot be.
    """
    found = as_far_as_known(exploration, runs)
    if number >= len(found.designs):
        raise SpecError(f"{exploration.name}: no design {number}; there are 0 to {len(found.designs) - 1}")
    design = found.designs[number]
    if not design.experiments:
        raise SpecError(f"{exploration.name}: design {number} is refused: {design.reason}")
    path = Path(file)
    check_file(path)
    hardware = design.experiments[0].hardware
    name = f"{exploration.name}-{number}"
    write_text(path, hardware.replace(name=name).to_toml())
    return path


def evaluations(findings: Findings) -> Iterator[dict[str, Any]]:
    """One flat row per design, rung, task and seed; one of a design that was counted alone."""
    exploration = findings.exploration
    paths = list(exploration.vary)
    for one in findings.designs:
        start: dict[str, Any] = {"id": one.number, "state": one.state, "reason": one.reason}
        start |= {path: one.point.get(path) for path in paths}
        counted = {} if one.counted is None else one.counted.as_json()
        start |= {f"counted_{name}": counted.get(name) for name in COUNTED}
        if not one.seeds:
            yield start
        for rung, of_seed in one.seeds.items():
            for seed, records in of_seed.items():
                for task, record in zip(exploration.tasks, records, strict=True):
                    run = {} if record.run is None else record.run.as_json()
                    phases = run.pop("energy_by_phase_J", {})
                    place = {"rung": rung, "steps": exploration.rungs[rung].steps, "task": task, "seed": seed}
                    own = {f"{phase}_energy_J": joule for phase, joule in phases.items()}
                    yield {**start, **place, **run, **own, "processor_s": record.processor_s}


def export_journal(exploration: Exploration, file: str | Path, *, runs: str | Path = RUNS) -> Path:
    """Write what is known as a journal of Optuna's, for optuna-dashboard and its plots; returns the path.

    The journal is a copy: nothing here reads it.
    """
    found = as_far_as_known(exploration, runs)
    path = Path(file)
    check_file(path)
    free = exploration.space.free
    distributions = {name: distribution(one) for name, one in free.items()}
    names = list(exploration.objectives)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
        written = Path(folder) / "journal"
        backend = JournalFileBackend(str(written.absolute()), lock_obj=JournalFileOpenLock(str(written.absolute())))
        logging.getLogger("optuna").setLevel(logging.WARNING)
        study = optuna.create_study(
            study_name=exploration.name,
            storage=optuna.storages.JournalStorage(backend),
            directions=["minimize" if goal == "min" else "maximize" for goal in exploration.objectives.values()],
        )
        for one in found.designs:
            values = [found.estimate(one, name) for name in names]
            state = optuna.trial.TrialState
            known = [value.mean for value in values if value is not None]
            done = one.state == "evaluated" and len(known) == len(names)
            study.add_trial(
                optuna.trial.create_trial(
                    state=state.COMPLETE if done else state.FAIL,
                    values=known if done else None,
                    params={name: asked_of(free[name], one.point[name]) for name in free if name in one.point},
                    distributions={name: distributions[name] for name in free if name in one.point},
                    user_attrs={"design": one.number, "state": one.state, "objectives": names, **one.point},
                )
            )
        try:
            os.replace(written, path)
        except OSError as error:
            raise FileError(f"{path}: {error.strerror}; check the path and the space on its disk") from None
    return path
