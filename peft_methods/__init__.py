"""Methods storey: fine-tuning methods, pools of LoRA modules, checkpoints and the on-chip training loop."""

from peft_methods.base import Adapter, Method
from peft_methods.checkpoints.pool import Pool
from peft_methods.errors import MethodError
from peft_methods.methods.bitfit import BitFit
from peft_methods.methods.bottleneck import Bottleneck
from peft_methods.methods.dora import DoRA
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
from peft_methods.training.loop import accuracy, fine_tune
from peft_methods.updates.update_rules import (
    RULES,
    MixedPrecision,
    OpenLoopPulses,
    SignPulses,
    StochasticPulses,
    WriteVerify,
)

METHODS: dict[str, type[Method]] = {
    "full-fine-tuning": FullFineTuning,
    "linear-probe": LinearProbe,
    "bitfit": BitFit,
    "lora": LoRA,
    "lora-fa": LoRAFA,
    "dora": DoRA,
    "vera": VeRA,
    "wegeft": WeGeFT,
    "ia3": IA3,
    "adapters": Bottleneck,
    "vpt": VPT,
    "pasta": PASTA,
    "lorahub": LoRAHub,
    "lorafusion": LoRAFusion,
}

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
    "fine_tune",
]
