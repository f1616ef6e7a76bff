"""Methods storey: fine-tuning methods, pools of LoRA modules, checkpoints and the on-chip training loop."""

from peft_methods.base import Adapter, Method, MethodError
from peft_methods.full_fine_tuning import FullFineTuning
from peft_methods.linear_probe import LinearProbe
from peft_methods.lora import LoRA
from peft_methods.lorafusion import LoRAFusion
from peft_methods.pool import Pool
from peft_methods.training import accuracy, fine_tune

METHODS: dict[str, type[Method]] = {
    "full-fine-tuning": FullFineTuning,
    "linear-probe": LinearProbe,
    "lora": LoRA,
    "lorafusion": LoRAFusion,
}

__all__ = [
    "METHODS", "Adapter", "FullFineTuning", "LinearProbe", "LoRA", "LoRAFusion", "Method", "MethodError", "Pool",
    "accuracy", "fine_tune",
]  # fmt: skip
