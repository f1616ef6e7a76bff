"""Small random models of Hugging Face transformers with a batch for each: two blocks, no weights from anywhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from peft_methods.training.losses import IGNORED, Loss, classification, logits_of, next_token, token_classification

WORDS, WIDTH, CLASSES, ROWS, TOKENS = 24, 16, 3, 4, 7
CLS, SEP, PAD = 2, 3, 0


def seq_to_seq(outputs: Any, labels: Tensor) -> Tensor:
    return nn.functional.cross_entropy(logits_of(outputs).flatten(0, 1), labels.flatten())


@dataclass(frozen=True)
class Family:
    """A class of transformers with its configuration, and what its samples look like."""

    name: str
    model_class: str
    config_class: str
    settings: dict[str, Any]
    loss: Loss

    def model(self) -> nn.Module:
        import transformers

        config = getattr(transformers, self.config_class)(**self.settings)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            model: nn.Module = getattr(transformers, self.model_class)(config)
            for name, parameter in model.named_parameters():
                if parameter.ndim == 2 or name.endswith("bias"):  # large, so that every layer tells
                    nn.init.normal_(parameter, std=0.3)
        return model.eval()

    def data(self) -> tuple[dict[str, Tensor], Tensor]:
        return SAMPLES[self.loss]() if self.name not in PICTURES else pictures()


def words() -> dict[str, Tensor]:
    """[CLS] words [SEP] words [SEP] [PAD] ..., rows of unequal length."""
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(SEP + 1, WORDS, (ROWS, TOKENS), generator=generator)
    mask = torch.ones(ROWS, TOKENS, dtype=torch.long)
    ids[:, 0] = CLS
    for row, length in enumerate((7, 6, 5, 4)):
        ids[row, length - 1], ids[row, length - 3 if length > 4 else 1] = SEP, SEP
        ids[row, length:], mask[row, length:] = PAD, 0
    return {"input_ids": ids, "attention_mask": mask}


def labels(*shape: int, among: int = CLASSES) -> Tensor:
    return torch.randint(0, among, (ROWS, *shape), generator=torch.Generator().manual_seed(2))


def texts() -> tuple[dict[str, Tensor], Tensor]:
    return words(), labels()


def tagged() -> tuple[dict[str, Tensor], Tensor]:
    inputs = words()
    return inputs, labels(TOKENS).masked_fill(inputs["attention_mask"] == 0, IGNORED)


def continued() -> tuple[dict[str, Tensor], Tensor]:
    inputs = words()
    return inputs, inputs["input_ids"].masked_fill(inputs["attention_mask"] == 0, IGNORED)


def answered() -> tuple[dict[str, Tensor], Tensor]:
    answers = labels(3, among=WORDS)
    return {**words(), "decoder_input_ids": answers.roll(1, 1)}, answers


def pictures() -> tuple[dict[str, Tensor], Tensor]:
    return {"pixel_values": torch.randn(ROWS, 3, 8, 8, generator=torch.Generator().manual_seed(3))}, labels()


SAMPLES: dict[Loss, Callable[[], tuple[dict[str, Tensor], Tensor]]] = {
    classification: texts,
    token_classification: tagged,
    next_token: continued,
    seq_to_seq: answered,
}
PICTURES = ("vit", "dinov2")
ENCODER = {
    "vocab_size": WORDS,
    "hidden_size": WIDTH,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "num_labels": CLASSES,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
    "pad_token_id": PAD,
}
IMAGES = {**ENCODER, "image_size": 8, "patch_size": 4}
DECODER = {
    "vocab_size": WORDS,
    "hidden_size": WIDTH,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 24,
    "pad_token_id": PAD,
}
GPT2 = {"vocab_size": WORDS, "n_embd": WIDTH, "n_layer": 2, "n_head": 2, "n_positions": 16, "bos_token_id": 1}
DROPS = {"attn_pdrop": 0.0, "embd_pdrop": 0.0, "resid_pdrop": 0.0, "eos_token_id": 1}
T5 = {"vocab_size": WORDS, "d_model": WIDTH, "d_kv": 8, "d_ff": 24, "num_layers": 2, "num_heads": 2, "dropout_rate": 0}
FAMILIES = [
    Family("bert", "BertForSequenceClassification", "BertConfig", ENCODER, classification),
    Family("bert-tokens", "BertForTokenClassification", "BertConfig", ENCODER, token_classification),
    Family("roberta", "RobertaForSequenceClassification", "RobertaConfig", ENCODER, classification),
    Family("vit", "ViTForImageClassification", "ViTConfig", IMAGES, classification),
    Family("dinov2", "Dinov2ForImageClassification", "Dinov2Config", IMAGES, classification),
    Family("gpt2", "GPT2LMHeadModel", "GPT2Config", {**GPT2, **DROPS}, next_token),
    Family("llama", "LlamaForCausalLM", "LlamaConfig", DECODER, next_token),
    Family("qwen2", "Qwen2ForCausalLM", "Qwen2Config", {**DECODER, "tie_word_embeddings": True}, next_token),
    Family("t5", "T5ForConditionalGeneration", "T5Config", {**T5, "decoder_start_token_id": PAD}, seq_to_seq),
]
