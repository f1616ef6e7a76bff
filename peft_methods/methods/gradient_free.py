"""GradientFree: what methods share whose few values are searched without gradients."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from peft_methods.base import MOST_STEPS, Method


class GradientFree(Method):
    """A method whose few values are searched: `steps` evaluations of the loss on all training samples, plus
    `regularisation` times the mean |value|, within +-`bound`.

    There is no backward pass. `learning_rate` is the first spread of the search; `batch_size` and `weight_decay`
    are unused.
    """

    steps: Annotated[int, Field(ge=1, le=MOST_STEPS)] = 40
    bound: Annotated[float, Field(gt=0)] = 1.5
    regularisation: Annotated[float, Field(ge=0)] = 0.05
    learning_rate: Annotated[float, Field(gt=0)] = 0.3
