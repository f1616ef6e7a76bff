"""Small random Hugging Face models with tokenizers, and files of examples, written to a folder."""

from __future__ import annotations

import csv
import json
import random
from pathlib import Path

import pytest
import torch

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
WORDS = [*SPECIAL, *["good", "bad", "film", "the", "a", "was", "very", "plot", "fine", "awful", "yes", "no", ":"]]


def write_models(folder: Path) -> None:
    """Folders 'bert' and 'llama' with configuration, weights and tokenizer."""
    transformers = pytest.importorskip("transformers", reason="needs transformers (pip install crossbar-sim[hf])")
    tokenizers = pytest.importorskip("tokenizers")
    vocabulary = {word: place for place, word in enumerate(WORDS)}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    special = [("[CLS]", 2), ("[SEP]", 3)]
    template = tokenizers.processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=special)
    tokenizer.post_processor = template
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        eos_token="[SEP]",
    )
    sizes = {"vocab_size": len(WORDS), "hidden_size": 32, "num_hidden_layers": 2, "intermediate_size": 64}
    bert = transformers.BertConfig(**sizes, num_attention_heads=2)
    llama = transformers.LlamaConfig(
        **sizes, num_attention_heads=4, num_key_value_heads=2, tie_word_embeddings=True, pad_token_id=0, eos_token_id=3
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        models = {"bert": transformers.BertModel(bert), "llama": transformers.LlamaForCausalLM(llama)}
    for name, model in models.items():
        model.save_pretrained(folder / name)
        fast.save_pretrained(folder / name)


def write_examples(folder: Path) -> None:
    """train and test, as .csv (text, label), .jsonl (tokens, tags, number) and .conll: a text with 'good' or 'fine' is
    'pos'."""
    stream = random.Random(0)
    for name, count in (("train", 60), ("test", 20)):
        sentences = [sentence(stream, place % 2) for place in range(count)]
        with (folder / f"{name}.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["text", "label"])
            writer.writerows([" ".join(words), ("neg", "pos")[place % 2]] for place, words in enumerate(sentences))
        tagged = [(words, ["B-praise" if word in ("good", "fine") else "O" for word in words]) for words in sentences]
        rows = [{"tokens": words, "tags": tags, "number": float(len(words))} for words, tags in tagged]
        rows = [{**row, "text": " ".join(row["tokens"])} for row in rows]
        (folder / f"{name}.jsonl").write_text("\n".join(json.dumps(row) for row in rows) + "\n")
        lines = ["\n".join(f"{word} {tag}" for word, tag in zip(*pair, strict=True)) for pair in tagged]
        (folder / f"{name}.conll").write_text("\n\n".join(lines) + "\n")


def sentence(stream: random.Random, positive: int) -> list[str]:
    """Some words and one that decides."""
    words = [stream.choice(WORDS[6:12]) for _ in range(stream.randint(2, 8))]
    words.append(stream.choice(("good", "fine") if positive else ("bad", "awful")))
    stream.shuffle(words)
    return words
