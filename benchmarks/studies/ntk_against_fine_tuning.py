"""Regression with the neural tangent kernel against fine-tuning of the same parameters.

Malladi et al. (ICML 2023) compare the two on few-shot tasks of language models. Here the tasks are shifted digits, and
both sides are digital, so that the difference is that of the linearisation alone. Fine-tuning runs with the defaults of
the methods, which were tuned on validation images of other seeds (`xbar tune`); the kernels' settings are
chosen on validation images of the same seeds. Test images are only reported.
"""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pydantic import computed_field
from torch import Tensor, nn

from benchmarks.experiments.tune import SEEDS as TUNING_SEEDS
from benchmarks.problems.backbones import load_backbone
from benchmarks.problems.problem import TaskData
from benchmarks.problems.tasks import few_shot, get_task
from benchmarks.record import Record
from benchmarks.studies.base import Findings, Study
from crossbar_sim import SpecError
from crossbar_sim.runtime.threads import one_thread
from crossbar_sim.spec.spec import nearest
from peft_methods import BitFit, FullFineTuning, LinearProbe, LoRA, Method, accuracy, fine_tune
from peft_methods.ntk.fit import NTKFit, TangentKernel, tangent_kernel
from peft_methods.ntk.gradients import Kind, Parameters, adapter_subspace, subspace

RIDGES = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
START_SHARES = (0.0, 0.03, 0.1, 1.0)  # of the model's outputs, to targets of size 1

Setting = dict[str, float]
Solver = Callable[[TangentKernel, Tensor, Setting], NTKFit]


@dataclass(frozen=True)
class Comparison:
    """One set of parameters, and the method that trains them (or more) step by step."""

    name: str
    method: Method

    def fresh(self, seed: int) -> tuple[nn.Module, Parameters]:
        """A fresh backbone and the parameters in question."""
        model = load_backbone()
        if isinstance(self.method, LoRA):
            return model, adapter_subspace(self.method.attach(model, seed=seed))
        return model, subspace(model, self.name)  # type: ignore[arg-type]


COMPARISONS = (
    Comparison("head", LinearProbe()),
    Comparison("biases", BitFit()),
    Comparison("lora", LoRA(placement="sram", learning_rate=8.4e-3)),
    Comparison("blocks", FullFineTuning()),
    Comparison("all", FullFineTuning()),
)


@dataclass(frozen=True)
class Predictor:
    """A kernel and a way to solve it, with the settings that are searched."""

    name: str
    kind: Kind
    solver: Solver
    settings: Mapping[str, tuple[float, ...]]

    def grid(self) -> Iterator[Setting]:
        """Every combination of the settings."""
        for values in itertools.product(*self.settings.values()):
            yield dict(zip(self.settings, values, strict=True))


def _ridge(kernel: TangentKernel, labels: Tensor, setting: Setting) -> NTKFit:
    return kernel.ridge(labels, **setting)


def _logistic(kernel: TangentKernel, labels: Tensor, setting: Setting) -> NTKFit:
    return kernel.logistic(labels, setting["ridge"], start_share=setting["start_share"])


def _two_sided(kernel: TangentKernel, labels: Tensor, setting: Setting) -> NTKFit:
    return kernel.two_sided(labels, **setting)


SQUARES = {"ridge": RIDGES, "start_share": START_SHARES}
PREDICTORS = {
    one.name: one
    for one in (
        Predictor("sgd", "sgd", _ridge, SQUARES),
        Predictor("logistic", "sgd", _logistic, {"ridge": RIDGES, "start_share": (0.0, 1.0)}),
        Predictor("asymmetric", "asymmetric", _ridge, SQUARES),
        Predictor("sign", "sign", _ridge, {"ridge": RIDGES, "start_share": (0.0, 0.03)}),
        Predictor("two-sided", "asymmetric", _two_sided, {"gamma": (0.1, 1.0, 10.0, 100.0), "balance": (0.0, 0.5)}),
    )
}


class Row(Record):
    """Test accuracy of one predictor on one set of parameters, and of fine-tuning the same (or all) parameters."""

    parameters: str
    """The set."""
    predictor: str
    """The kernel and the way to solve it."""
    fine_tuning: float
    """Share of the test images, mean over the seeds."""
    kernel: float
    """Share of the test images, mean over the seeds."""
    kernel_by_seed: tuple[float, ...]
    """Share of the test images."""
    fine_tuning_by_seed: tuple[float, ...]
    """Share of the test images."""
    setting: dict[str, float]
    """Chosen on validation images."""

    @computed_field  # type: ignore[prop-decorator]
    @property
    def difference_points(self) -> float:
        """Kernel minus fine-tuning, in points."""
        return 100 * (self.kernel - self.fine_tuning)


def compare(
    comparison: Comparison,
    predictors: Sequence[Predictor],
    task: str,
    shots: int,
    seeds: Sequence[int],
    tuning_seeds: Sequence[int] = TUNING_SEEDS,
) -> list[Row]:
    """One row per predictor; settings are chosen on `tuning_seeds`, accuracies are those of `seeds`."""
    tuned = [few_shot(get_task(task), shots, seed) for seed in tuning_seeds]
    data = [few_shot(get_task(task), shots, seed) for seed in seeds]
    steps = [_fine_tuned(comparison, seed, one) for seed, one in zip(seeds, data, strict=True)]
    rows = []
    for predictor in predictors:
        best = _best_setting(comparison, predictor, list(zip(tuning_seeds, tuned, strict=True)))
        reached = []
        for seed, one in zip(seeds, data, strict=True):
            model, parameters = comparison.fresh(seed)
            kernel = tangent_kernel(model, one.train.tensor, parameters, predictor.kind)
            fit = predictor.solver(kernel, one.train.labels, best)
            reached.append(share_right(fit, model, parameters, one.test.tensor, one.test.labels))
        rows.append(
            Row(
                parameters=comparison.name,
                predictor=predictor.name,
                fine_tuning=statistics.fmean(steps),
                kernel=statistics.fmean(reached),
                kernel_by_seed=tuple(reached),
                fine_tuning_by_seed=tuple(steps),
                setting=best,
            )
        )
    return rows


def _best_setting(comparison: Comparison, predictor: Predictor, data: Sequence[tuple[int, TaskData]]) -> Setting:
    """The setting with the highest mean validation accuracy; the first of equals."""
    totals: dict[int, float] = {}
    settings = list(predictor.grid())
    for seed, one in data:
        model, parameters = comparison.fresh(seed)
        kernel = tangent_kernel(model, one.train.tensor, parameters, predictor.kind)
        for index, setting in enumerate(settings):
            fit = predictor.solver(kernel, one.train.labels, setting)
            right = share_right(fit, model, parameters, one.validation.tensor, one.validation.labels)
            totals[index] = totals.get(index, 0.0) + right
    return settings[max(totals, key=lambda index: totals[index])]


def share_right(fit: NTKFit, model: nn.Module, parameters: Parameters, images: Tensor, labels: Tensor) -> float:
    """Share of images whose largest predicted output is that of the label."""
    return float((fit.predict(model, images, parameters).argmax(1) == labels).float().mean())


def _fine_tuned(comparison: Comparison, seed: int, data: TaskData) -> float:
    model = load_backbone()
    adapter = comparison.method.attach(model, seed=seed)
    fine_tune(model, adapter, data.train.tensor, data.train.labels, seed=seed)
    return accuracy(model, data.test.tensor, data.test.labels)


class KernelFindings(Findings[Row]):
    """One row per set of parameters and kernel."""

    def __str__(self) -> str:
        """Accuracies in per cent."""
        lines = [f"{'parameters':<12}{'kernel':<12}{'fine-tuning':>12}{'kernel':>9}{'points':>9}  setting"]
        for row in self.records:
            setting = ", ".join(f"{key} {value:g}" for key, value in row.setting.items())
            lines.append(
                f"{row.parameters:<12}{row.predictor:<12}{100 * row.fine_tuning:>12.1f}{100 * row.kernel:>9.1f}"
                f"{row.difference_points:>+9.1f}  {setting}"
            )
        return "\n".join(lines)


def known(names: Sequence[str], valid: Sequence[str], what: str) -> None:
    """SpecError for a name that is not among the valid ones."""
    for name in names:
        if name not in valid:
            raise SpecError(f"no {what} '{name}'{nearest(name, list(valid))}")


@dataclass(frozen=True)
class NTKAgainstFineTuning(Study):
    """Regression with the neural tangent kernel against fine-tuning of the same parameters."""

    task: str = "fliplr+dim"
    """What the backbone is adapted to."""
    shots: int = 5
    """Training images per class."""
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    """Of images and batches."""
    parameters: tuple[str, ...] = tuple(one.name for one in COMPARISONS)
    """Sets of parameters."""
    kernels: tuple[str, ...] = ("sgd", "logistic")
    """Kernels, each with its way to solve."""

    def run(self) -> KernelFindings:
        """Fine-tune and solve, seed by seed."""
        known(self.parameters, [one.name for one in COMPARISONS], "set of parameters")
        known(self.kernels, list(PREDICTORS), "kernel")
        chosen = [PREDICTORS[name] for name in self.kernels]
        rows: list[Row] = []
        with one_thread():
            for one in COMPARISONS:
                if one.name in self.parameters:
                    rows += compare(one, chosen, self.task, self.shots, self.seeds)
        return KernelFindings(tuple(rows))
