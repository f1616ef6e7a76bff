"""ProblemFile: what a TOML file may state of a problem."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from benchmarks.problems.problem import TaskKind
from crossbar_sim import SpecError
from crossbar_sim.spec.spec import Spec

TaskType = Literal[
    "text-classification",
    "token-classification",
    "image-classification",
    "text-regression",
    "causal-language-modelling",
    "prompted-classification",
]
Name = Annotated[str, Field(min_length=1, max_length=100)]


class TaskFile(Spec):
    """Files of one task; paths start at the folder of the file that states them."""

    name: Name
    kind: TaskKind = "unrelated"
    train: str
    test: str
    validation: str | None = None
    labels: tuple[str, ...] = ()
    """The classes in the order of their numbers; empty: those of the training file, sorted."""


class ProblemFile(Spec):
    """A model and its tasks.

    model: a local folder, or a name on the hub. task_type: what the model does. text, label, tokens, tags, image: the
    columns of the files. template and verbaliser: of prompted classification; {text} stands for the text, and a class
    is the first token of its word; examples_in_prompt: so many of each class stand solved in every prompt, the first of
    the training file, and are not trained on. max_tokens: longer texts are cut, prompts at their beginning. dropout: of
    the model while it is trained.
    """

    kind_of_file: ClassVar[str | None] = "problem"

    name: Name
    model: str
    task_type: TaskType
    tasks: Annotated[tuple[TaskFile, ...], Field(min_length=1)]
    text: str = "text"
    label: str = "label"
    tokens: str = "tokens"
    tags: str = "tags"
    image: str = "image"
    template: str = "{text}"
    verbaliser: dict[str, str] = {}  # noqa: RUF012
    examples_in_prompt: Annotated[int, Field(ge=0, le=1000)] = 0
    max_tokens: Annotated[int, Field(ge=1, le=1 << 16)] = 64
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    shots_per_class: Annotated[int, Field(ge=1)] | None = None
    score: str | None = None
    pool: str | None = None
    exclude: tuple[str, ...] | None = None
    hardware: str = "milo2021_128x128"
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    """Of the values of a new head."""

    @model_validator(mode="after")
    def _prompted(self) -> ProblemFile:
        prompted = self.task_type == "prompted-classification"
        if prompted != bool(self.verbaliser):
            raise SpecError("a verbaliser (class = 'word') goes with 'prompted-classification', and only with it")
        if self.examples_in_prompt and not prompted:
            raise SpecError("examples_in_prompt goes with 'prompted-classification'; leave it out")
        if prompted and "{text}" not in self.template:
            raise SpecError("template: it must say where the text goes: 'Review: {text} Sentiment:'")
        return self
