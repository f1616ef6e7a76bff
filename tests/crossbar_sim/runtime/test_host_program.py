"""Threads, default type, random state and grad mode of the program around the library stay what they were, and torch's
compiler, which takes seconds to import, is not started."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import sys
import torch
from torch import nn
from crossbar_sim import Hardware, map_model, unmap
from peft_methods import LoRA, accuracy, fine_tune

def state():
    draws = torch.get_rng_state().tolist()
    return torch.get_num_threads(), torch.get_default_dtype(), torch.is_grad_enabled(), draws

for threads in (1, 2):
    torch.set_num_threads(threads)
    model = nn.Sequential()
    model.blocks = nn.ModuleList([nn.Linear(256, 256)])
    model.head = nn.Linear(256, 3)
    model.forward = lambda x: model.head(model.blocks[0](x))
    x, y = torch.rand(64, 256), torch.arange(64) % 3
    before = state()
    chip = map_model(model, Hardware.load("milo2021_128x128"))
    assert state() == before, (threads, "map_model")
    model(x)
    assert state() == before, (threads, "a read")
    adapter = LoRA(rank=2, steps=2).attach(model, chip)
    assert state() == before, (threads, "attach")
    fine_tune(model, adapter, x, y)
    assert state() == before, (threads, "fine_tune")
    accuracy(model, x, y, chip)
    adapter.detach()
    unmap(model, weights="cells")
    assert state() == before, (threads, "the way back")
assert "torch._dynamo" not in sys.modules
"""


def test_every_call_leaves_the_host_program_as_it_was() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
