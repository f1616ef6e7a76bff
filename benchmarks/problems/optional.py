"""Libraries that some problems need and that this package does not install by itself."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from benchmarks.problems.problem import ProblemError

HUGGING_FACE = "crossbar-sim[hf]"
"""What pip installs to bring transformers, tokenizers and PEFT."""


def optional(name: str, package: str = HUGGING_FACE) -> Any:
    """The module of that name; ProblemError, which names the package to install, if it is not there."""
    try:
        return import_module(name)
    except ImportError:
        raise ProblemError(f'this problem needs {name.partition(".")[0]}; pip install "{package}"') from None
