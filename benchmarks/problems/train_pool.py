"""Training the pool of a problem: one LoRA module per source task, kept in the cache (`xbar problem train-pool`)."""

from __future__ import annotations

import hashlib
import platform
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.problems.pool_training import PoolTraining
from benchmarks.problems.problem import Problem, ProblemError, Task
from crossbar_sim.runtime.files import write_json
from crossbar_sim.runtime.threads import one_thread
from crossbar_sim.spec.documents import read_json
from peft_methods import fine_tune
from peft_methods.checkpoints.lora import save_lora
from peft_methods.training.evaluation import evaluate
from peft_methods.training.samples import Samples

FACTS_FILE = "facts.json"


def train_pool(
    problem: Problem, training: PoolTraining | None = None, say: Callable[[str], None] = print
) -> dict[str, float]:
    """Train what is not trained yet and return the validation score of every module by task.

    training: None: as the problem says. Modules are kept one by one beside the pool's folder, so that the same command
    goes on where another was stopped; the folder appears when the pool is whole, and takes the place of one that was
    trained otherwise. ProblemError if the problem has no source tasks, no folder or no settings.
    """
    training = training or problem.pool_training
    sources = [task for task in problem.tasks if task.kind == "source"]
    if training is None or problem.pool is None or not sources:
        lacking = "no source task" if not sources else "no folder for a pool, or no settings to train it with"
        raise ProblemError(
            f"problem '{problem.name}' has {lacking}; give tasks of kind 'source', `pool` and `training`"
        )
    folder, digest = Path(problem.pool), _digest(problem, training, sources)
    kept = _facts(folder)
    if kept.get("digest") == digest:
        say(f"{folder} is there")
        return _scores(kept)
    begun = folder.with_name(f".{folder.name}.{digest[:12]}")
    scores: dict[str, float] = {}
    for task in sources:
        facts = _facts(begun / task.name)
        if not facts:
            facts = _train_module(problem, task, training, begun / task.name)
        scores[task.name] = float(facts["score"])
        say(f"{task.name:<12}validation {problem.scoring.name} {scores[task.name]:.3f}")
    facts = {"digest": digest, "training": training.table(), "versions": _versions(), "scores": scores}
    write_json(begun / FACTS_FILE, facts)
    if folder.exists():
        shutil.rmtree(folder)
    begun.rename(folder)
    return scores


def _train_module(problem: Problem, task: Task, training: PoolTraining, folder: Path) -> dict[str, Any]:
    """Train the module of one task and write it; its facts come last."""
    data, method = task.data(None, 0), training.method
    with one_thread():
        model = problem.fresh_model(task)
        train = _some(data.train, training.samples, training.seed)
        adapter = method.attach(model, seed=training.seed)
        fine_tune(model, adapter, train.inputs, train.labels, loss=problem.loss_function, seed=training.seed)
        reached = evaluate(model, data.validation.inputs, data.validation.labels, score=problem.scoring)
    save_lora(folder, adapter.export(task.name), problem.name)
    facts = {"score": reached.value, "standard_error": reached.standard_error, "samples": len(train)}
    write_json(folder / FACTS_FILE, facts)
    return facts


def _some(samples: Samples, most: int, seed: int) -> Samples:
    """At most so many of the samples, drawn by `seed`."""
    order = np.random.RandomState(seed).permutation(len(samples))[:most]
    return samples.take(torch.from_numpy(order))


def _digest(problem: Problem, training: PoolTraining, sources: list[Task]) -> str:
    """SHA-256 of all that decides the modules."""
    parts = [training.digest(), *(f"{task.name} {problem.digest(task)}" for task in sources)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _facts(folder: Path) -> dict[str, Any]:
    """What is written about a module or a pool that is whole; else nothing."""
    path = folder / FACTS_FILE
    found = read_json(path) if path.is_file() else {}
    return found if isinstance(found, dict) else {}


def _scores(facts: dict[str, Any]) -> dict[str, float]:
    return {str(name): float(score) for name, score in facts["scores"].items()}


def _versions() -> dict[str, str]:
    return {"python": platform.python_version(), "torch": str(torch.__version__), "numpy": np.__version__}
