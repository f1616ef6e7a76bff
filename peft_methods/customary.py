"""Customary targets: which layers of an architecture of Hugging Face transformers methods change, if none are named.

Query and value for LoRA and its kin, as the tables of Hugging Face PEFT have them; key, value and the last layer of the
feed-forward network for IA3, as its paper has them (those of PEFT name the query in some decoders, and in encoders of
BERT's kind both layers called output.dense).
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from peft_methods.patterns import matches


@dataclass(frozen=True)
class Customary:
    """Targets by what they are for; of names that differ between versions of transformers the model has one.

    updates: what a low-rank update goes to. gains: outputs that IA3 scales. feed_forward: the last layer of the
    feed-forward network, whose inputs IA3 scales. residual: behind what an adapter (Pfeiffer et al., EACL 2021) goes.
    """

    updates: tuple[str, ...]
    gains: tuple[str, ...]
    feed_forward: tuple[str, ...]
    residual: tuple[str, ...]


OUTPUT = r"re:.*layer\.\d+\.output\.dense"
BERT = Customary(("query", "value"), ("key", "value"), (OUTPUT,), (OUTPUT,))
DEBERTA = Customary(("query_proj", "value_proj"), ("key_proj", "value_proj"), (OUTPUT,), (OUTPUT,))
DISTILBERT = Customary(("q_lin", "v_lin"), ("k_lin", "v_lin"), ("lin2",), ("ffn",))
IMAGES = Customary(
    ("query", "value", "q_proj", "v_proj"),
    ("key", "value", "k_proj", "v_proj"),
    ("mlp.fc2", OUTPUT),
    ("mlp", OUTPUT),
)
LLAMA = Customary(("q_proj", "v_proj"), ("k_proj", "v_proj"), ("down_proj",), ("mlp",))
OPT = Customary(("q_proj", "v_proj"), ("k_proj", "v_proj"), ("fc2",), ("fc2",))
PHI = Customary(("q_proj", "v_proj"), ("k_proj", "v_proj"), ("fc2",), ("mlp",))
PHI3 = Customary(("qkv_proj",), ("qkv_proj",), ("down_proj",), ("mlp",))
GPT2 = Customary(("c_attn",), ("c_attn",), ("mlp.c_proj",), ("mlp",))
GPTJ = Customary(("q_proj", "v_proj"), ("k_proj", "v_proj"), ("fc_out",), ("mlp",))
NEOX = Customary(("query_key_value",), ("query_key_value",), ("dense_4h_to_h",), ("mlp",))
T5 = Customary(("q", "v"), ("k", "v"), ("wo",), ("DenseReluDense",))

CUSTOMARY: dict[str, Customary] = {
    **dict.fromkeys(("bert", "roberta", "xlm-roberta", "camembert", "electra", "ernie"), BERT),
    **dict.fromkeys(("deberta-v2",), DEBERTA),
    "distilbert": DISTILBERT,
    **dict.fromkeys(("vit", "deit", "dinov2", "dinov2_with_registers", "vit_mae"), IMAGES),
    **dict.fromkeys(
        ("llama", "mistral", "qwen2", "qwen3", "gemma", "gemma2", "gemma3_text", "olmo2", "smollm3"), LLAMA
    ),
    **dict.fromkeys(("opt", "bart", "mbart", "whisper", "marian"), OPT),
    "phi": PHI,
    "phi3": PHI3,
    "gpt2": GPT2,
    "gptj": GPTJ,
    **dict.fromkeys(("gpt_neox", "bloom", "falcon"), NEOX),
    **dict.fromkeys(("t5", "mt5", "umt5"), T5),
}
"""By the `model_type` of a model's configuration."""


def customary(model: nn.Module) -> Customary | None:
    """The customary targets of the model, or of the first part of it that has a configuration; None: it has none that
    is known here."""
    part = configured_part(model)
    return None if part is None else CUSTOMARY.get(part[1])


def configured_part(model: nn.Module) -> tuple[nn.Module, str] | None:
    """The first part of the model that has a configuration of Hugging Face, and its `model_type`."""
    for module in model.modules():
        kind = getattr(getattr(module, "config", None), "model_type", None)
        if isinstance(kind, str):
            return module, kind
    return None


def there(model: nn.Module, targets: tuple[str, ...]) -> tuple[str, ...]:
    """Those of the targets that a module of the model has the name of."""
    names = [name for name, _ in model.named_modules()]
    return tuple(target for target in targets if any(matches(name, target) for name in names))
