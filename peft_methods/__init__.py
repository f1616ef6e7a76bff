"""Methods storey: fine-tuning methods, pools of LoRA modules, checkpoints and the on-chip training loop."""

from peft_methods.base import Adapter, Method
from peft_methods.checkpoints.pool import Pool
from peft_methods.errors import MethodError
from peft_methods.loading import load_adapter
from peft_methods.methods import METHODS
from peft_methods.methods.bitfit import BitFit
from peft_methods.methods.bottleneck import Bottleneck
from peft_methods.methods.dora import DoRA
from peft_methods.methods.frozen import Frozen
from peft_methods.methods.full_fine_tuning import FullFineTuning
from peft_methods.methods.ia3 import IA3
from peft_methods.methods.linear_probe import LinearProbe
from peft_methods.methods.lora import LoRA
from peft_methods.methods.lora_fa import LoRAFA
from peft_methods.methods.lorafusion import LoRAFusion
from peft_methods.methods.lorahub import LoRAHub
from peft_methods.methods.pasta import PASTA
from peft_methods.methods.vera import VeRA
from peft_methods.methods.vpt import VPT
from peft_methods.methods.wegeft import WeGeFT
from peft_methods.training.evaluation import accuracy, evaluate
from peft_methods.training.loop import fine_tune
from peft_methods.updates import RULES
from peft_methods.updates.mixed_precision import MixedPrecision
from peft_methods.updates.open_loop import OpenLoopPulses
from peft_methods.updates.sign_pulses import SignPulses
from peft_methods.updates.stochastic import StochasticPulses
from peft_methods.updates.write_verify import WriteVerify

__all__ = [
    "IA3",
    "METHODS",
    "PASTA",
    "RULES",
    "VPT",
    "Adapter",
    "BitFit",
    "Bottleneck",
    "DoRA",
    "Frozen",
    "FullFineTuning",
    "LinearProbe",
    "LoRA",
    "LoRAFA",
    "LoRAFusion",
    "LoRAHub",
    "Method",
    "MethodError",
    "MixedPrecision",
    "OpenLoopPulses",
    "Pool",
    "SignPulses",
    "StochasticPulses",
    "VeRA",
    "WeGeFT",
    "WriteVerify",
    "accuracy",
    "evaluate",
    "fine_tune",
    "load_adapter",
]
