"""How models of Hugging Face's transformers are trained and judged, one class per type of task.

Weights are read from safetensors alone and no code of a model's repository is run. transformers is imported when a
model or a tokenizer is needed; `pip install "crossbar-sim[hf]"` brings it.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from benchmarks.problems.from_file.problem_file import ProblemFile, TaskType
from benchmarks.problems.from_file.tables import Row, column
from benchmarks.problems.optional import optional
from benchmarks.problems.problem import ProblemError, Task
from peft_methods.training.losses import IGNORED, logits_of
from peft_methods.training.samples import MASK, Samples
from peft_methods.training.scores import (
    ACCURACY,
    MEAN_SQUARED_ERROR,
    PERPLEXITY,
    TOKEN_ACCURACY,
    Score,
)

DROPOUTS = (
    "hidden_dropout_prob",
    "attention_probs_dropout_prob",
    "classifier_dropout",
    "attention_dropout",
    "dropout",
    "dropout_rate",
    "resid_pdrop",
    "embd_pdrop",
    "attn_pdrop",
    "drop_path_rate",
)
"""What the configurations of transformers call their shares of dropout."""
IDS = "input_ids"


class Setup(ABC):
    """One type of task on one model.

    source: the folder of the model, or its name on the hub. folder: where the paths of the examples start.
    """

    automatic: ClassVar[str]
    """The class of transformers that makes the model with its head."""
    loss: ClassVar[str]
    """By its name in LOSSES."""
    score: ClassVar[Score]
    exclude: ClassVar[tuple[str, ...] | None] = None
    cut: ClassVar[str] = "right"
    """Where texts of too many tokens are cut."""

    def __init__(self, file: ProblemFile, source: str, folder: Path) -> None:
        self.file = file
        self.source = source
        self.folder = folder

    def model(self, task: Task) -> nn.Module:
        """The pre-trained model; a new head is drawn with the file's seed, and dropout is as the file says."""
        return self.loaded(num_labels=max(len(task.labels), 1))

    def loaded(self, **settings: Any) -> nn.Module:
        """The model of the folder or of the hub, in float32; ProblemError if it cannot be had."""
        hub = transformers()
        with torch.random.fork_rng(devices=[]), quiet(hub):
            torch.manual_seed(self.file.seed)
            try:
                config = hub.AutoConfig.from_pretrained(self.source, trust_remote_code=False, **settings)
                for name in DROPOUTS:
                    if isinstance(getattr(config, name, None), float):
                        setattr(config, name, self.file.dropout)
                model: nn.Module = getattr(hub, self.automatic).from_pretrained(
                    self.source,
                    config=config,
                    dtype=torch.float32,
                    use_safetensors=True,
                    trust_remote_code=False,
                    ignore_mismatched_sizes=True,
                )
            except (OSError, ValueError, RuntimeError, KeyError) as error:
                raise _unavailable(self.source, error) from None
        return model

    @abstractmethod
    def labels(self, rows: Sequence[Row], path: Path) -> tuple[str, ...]:
        """The names of the classes, from the training examples."""

    def shown(self, rows: list[Row], path: Path) -> tuple[Setup, list[Row]]:
        """This set-up for a task with these training examples, and those that are left to train on."""
        return self, rows

    @abstractmethod
    def samples(self, rows: list[Row], labels: tuple[str, ...], path: Path) -> Samples:
        """Examples as the model takes them."""

    def tokens(self, texts: list[Any], **options: Any) -> dict[str, Tensor]:
        """Token ids and masks of texts, padded at the end to the longest."""
        tokenizer = tokenizer_of(self.source)
        tokenizer.padding_side, tokenizer.truncation_side = "right", self.cut
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token
        encoded = tokenizer(
            texts, padding=True, truncation=True, max_length=self.file.max_tokens, return_tensors="pt", **options
        )
        return {name: tensor for name, tensor in encoded.items() if isinstance(tensor, Tensor)}


class TextClassification(Setup):
    """A text and the class that it belongs to."""

    automatic = "AutoModelForSequenceClassification"
    loss = "classification"
    score = ACCURACY

    def model(self, task: Task) -> nn.Module:
        model = super().model(task)
        config: Any = model.config
        if getattr(config, "pad_token_id", None) is None:  # a decoder finds the last token by it
            padding = tokenizer_of(self.source).pad_token_id
            config.pad_token_id = config.eos_token_id if padding is None else padding
        return model

    def labels(self, rows: Sequence[Row], path: Path) -> tuple[str, ...]:
        return classes(column(list(rows), self.file.label, path))

    def samples(self, rows: list[Row], labels: tuple[str, ...], path: Path) -> Samples:
        texts = [str(text) for text in column(rows, self.file.text, path)]
        return Samples(self.tokens(texts), numbers(column(rows, self.file.label, path), labels, path))


class TextRegression(TextClassification):
    """A text and a number."""

    loss = "regression"
    score = MEAN_SQUARED_ERROR

    def labels(self, rows: Sequence[Row], path: Path) -> tuple[str, ...]:
        return ()

    def samples(self, rows: list[Row], labels: tuple[str, ...], path: Path) -> Samples:
        texts = [str(text) for text in column(rows, self.file.text, path)]
        given = column(rows, self.file.label, path)
        try:
            values = torch.tensor([float(value) for value in given])
        except ValueError as error:
            raise ProblemError(f"{path}: column '{self.file.label}' must hold numbers ({error})") from None
        return Samples(self.tokens(texts), values)


class TokenClassification(Setup):
    """Words and the tag of each; the first token of a word carries its tag, the others do not count."""

    automatic = "AutoModelForTokenClassification"
    loss = "token-classification"
    score = TOKEN_ACCURACY

    def labels(self, rows: Sequence[Row], path: Path) -> tuple[str, ...]:
        tags = column(list(rows), self.file.tags, path)
        return classes(tag for sentence in tags for tag in sentence)

    def samples(self, rows: list[Row], labels: tuple[str, ...], path: Path) -> Samples:
        words, tags = column(rows, self.file.tokens, path), column(rows, self.file.tags, path)
        for place, (sentence, own) in enumerate(zip(words, tags, strict=True), start=1):
            if not isinstance(sentence, list) or not isinstance(own, list) or len(sentence) != len(own):
                raise ProblemError(f"{path}: example {place} must have a list of words and a tag for each")
        tokenizer = tokenizer_of(self.source)
        encoded = tokenizer(words, is_split_into_words=True, truncation=True, max_length=self.file.max_tokens)
        inputs = self.tokens(words, is_split_into_words=True)
        marked = torch.full(inputs[IDS].shape, IGNORED)
        for row, own in enumerate(tags):
            codes, before = numbers(own, labels, path), None
            for place, word in enumerate(encoded.word_ids(row)):
                if word is not None and word != before:
                    marked[row, place] = codes[word]
                before = word
        return Samples(inputs, marked)


class ImageClassification(Setup):
    """An image file and the class that it belongs to."""

    automatic = "AutoModelForImageClassification"
    loss = "classification"
    score = ACCURACY

    def labels(self, rows: Sequence[Row], path: Path) -> tuple[str, ...]:
        return classes(column(list(rows), self.file.label, path))

    def samples(self, rows: list[Row], labels: tuple[str, ...], path: Path) -> Samples:
        image = optional("PIL.Image", "Pillow")
        processor = transformers().AutoImageProcessor.from_pretrained(self.source, trust_remote_code=False)
        pixels = []
        for name in column(rows, self.file.image, path):
            try:
                with image.open(path.parent / str(name)) as opened:
                    pixels.append(processor(opened.convert("RGB"), return_tensors="pt")["pixel_values"])
            except OSError as error:
                raise ProblemError(f"{path}: image {name} cannot be read ({error})") from None
        codes = numbers(column(rows, self.file.label, path), labels, path)
        return Samples({"pixel_values": torch.cat(pixels)}, codes)


class CausalLanguageModelling(Setup):
    """Texts whose every next token is to be predicted."""

    automatic = "AutoModelForCausalLM"
    loss = "next-token"
    score = PERPLEXITY

    def model(self, task: Task) -> nn.Module:
        return self.loaded()

    def labels(self, rows: Sequence[Row], path: Path) -> tuple[str, ...]:
        return ()

    def samples(self, rows: list[Row], labels: tuple[str, ...], path: Path) -> Samples:
        inputs = self.tokens([str(text) for text in column(rows, self.file.text, path)])
        return Samples(inputs, inputs[IDS].masked_fill(inputs[MASK] == 0, IGNORED))


class PromptedClassification(CausalLanguageModelling):
    """A text in a template, perhaps behind solved examples, and a word of the verbaliser that stands for its class."""

    loss = "classification"
    score = ACCURACY
    exclude = ("language_model.lm_head",)
    cut = "left"
    before = ""
    """Solved examples."""

    def model(self, task: Task) -> nn.Module:
        return PromptedClassifier(self.loaded(), self.words(task.labels))

    def words(self, labels: tuple[str, ...]) -> Tensor:
        """The first token of the word of every class; ProblemError where two are the same."""
        lacking = [label for label in labels if label not in self.file.verbaliser]
        if lacking:
            raise ProblemError(f"the verbaliser has no word for the class '{lacking[0]}'; add {lacking[0]} = '...'")
        tokenizer = tokenizer_of(self.source)
        first = [tokenizer(self.file.verbaliser[label], add_special_tokens=False)[IDS][:1] for label in labels]
        flat = [token for tokens in first for token in tokens]
        if len(set(flat)) < len(labels):
            raise ProblemError("words of the verbaliser begin with the same token, or are empty; choose others")
        return torch.tensor(flat)

    def labels(self, rows: Sequence[Row], path: Path) -> tuple[str, ...]:
        return classes(column(list(rows), self.file.label, path))

    def samples(self, rows: list[Row], labels: tuple[str, ...], path: Path) -> Samples:
        texts = [self.before + self.prompt(text) for text in column(rows, self.file.text, path)]
        if self.before:
            self.check_length(texts, path)
        return Samples(self.tokens(texts), numbers(column(rows, self.file.label, path), labels, path))

    def prompt(self, text: Any) -> str:
        """The template with a text in it."""
        return self.file.template.replace("{text}", str(text))

    def shown(self, rows: list[Row], path: Path) -> tuple[Setup, list[Row]]:
        """The first examples of each class stand in every prompt; ProblemError if there are not more than these."""
        number = self.file.examples_in_prompt
        if not number:
            return self, rows
        labels = [str(label).strip() for label in column(rows, self.file.label, path)]
        self.words(classes(labels))
        places = {name: [place for place, label in enumerate(labels) if label == name] for name in classes(labels)}
        for name, own in places.items():
            if len(own) <= number:
                raise ProblemError(
                    f"{path}: class '{name}' has {len(own)} examples, and examples_in_prompt = {number} must leave some"
                )
        turns = [own[turn] for turn in range(number) for own in places.values()]
        texts = column(rows, self.file.text, path)
        asked = copy.copy(self)
        said = [self.prompt(texts[one]) + " " + self.file.verbaliser[labels[one]].strip() for one in turns]
        asked.before = "".join(f"{one}\n\n" for one in said)
        return asked, [row for place, row in enumerate(rows) if place not in turns]

    def check_length(self, texts: list[str], path: Path) -> None:
        """ProblemError if a prompt is longer than max_tokens: an example would be cut away."""
        longest = max(len(ids) for ids in tokenizer_of(self.source)(texts)[IDS])
        if longest > self.file.max_tokens:
            raise ProblemError(
                f"{path}: with its examples the longest prompt has {longest} tokens, and max_tokens is "
                f"{self.file.max_tokens}; raise max_tokens to {longest}, or take fewer examples_in_prompt"
            )


class PromptedClassifier(nn.Module):
    """A language model that scores classes by the logit of one word each after the last token of a prompt."""

    def __init__(self, language_model: nn.Module, words: Tensor) -> None:
        super().__init__()
        self.language_model = language_model
        self.register_buffer("words", words)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Token ids (n, tokens) and their mask, padded at the end, to logits (n, classes)."""
        logits = logits_of(self.language_model(input_ids=input_ids, attention_mask=attention_mask))
        last = attention_mask.sum(1) - 1
        scores: Tensor = logits[torch.arange(len(last), device=last.device), last][:, self.get_buffer("words")]
        return scores


SETUPS: dict[TaskType, type[Setup]] = {
    "text-classification": TextClassification,
    "token-classification": TokenClassification,
    "image-classification": ImageClassification,
    "text-regression": TextRegression,
    "causal-language-modelling": CausalLanguageModelling,
    "prompted-classification": PromptedClassification,
}


def classes(labels: Iterable[Any]) -> tuple[str, ...]:
    """The different labels as text, sorted; numbers by size."""
    found = {str(label).strip() for label in labels}
    return tuple(sorted(found, key=lambda name: (0, int(name), name) if name.isdecimal() else (1, 0, name)))


def numbers(labels: Iterable[Any], names: tuple[str, ...], path: Path) -> Tensor:
    """The number of every label; ProblemError for one that the training examples do not have."""
    places = {name: place for place, name in enumerate(names)}
    given = [str(label).strip() for label in labels]
    unknown = sorted({label for label in given if label not in places})
    if unknown:
        raise ProblemError(f"{path}: class '{unknown[0]}' is none of the training file's: {', '.join(names[:20])}")
    return torch.tensor([places[label] for label in given])


@cache
def tokenizer_of(source: str) -> Any:
    """The tokenizer of a folder or of the hub; read once per process."""
    try:
        return transformers().AutoTokenizer.from_pretrained(source, trust_remote_code=False)
    except (OSError, ValueError, KeyError) as error:
        raise _unavailable(source, error) from None


def transformers() -> Any:
    """Hugging Face's transformers; ProblemError if it is not installed."""
    return optional("transformers")


@contextmanager
def quiet(hub: Any) -> Iterator[None]:
    """Without the bars that transformers shows while it reads weights."""
    logging = hub.utils.logging
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def _unavailable(source: str, error: Exception) -> ProblemError:
    reason = str(error).strip().partition("\n")[0][:160]
    return ProblemError(
        f"no model can be had from '{source}' ({reason}); give a folder with config.json and model.safetensors, or a "
        "name of the hub where there is a network"
    )
