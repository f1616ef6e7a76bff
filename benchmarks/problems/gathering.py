"""Gathering data of many shapes into Samples: pairs of tensors, tables, datasets and loaders."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader, Dataset

from peft_methods.errors import DataError
from peft_methods.training.losses import IGNORED
from peft_methods.training.samples import MASK, Samples

LABELS = ("labels", "label")
"""What the labels are called in a table, as in Hugging Face's data sets."""
PADDING = {"labels": IGNORED, "label": IGNORED}

Data = Samples | tuple[Any, Tensor] | Mapping[str, Tensor] | Dataset[Any] | DataLoader[Any]


def gathered(data: Data) -> Samples:
    """Data as Samples.

    (inputs, labels); a table of tensors with its 'labels'; a Dataset of (input, label) pairs or of such tables; a
    DataLoader of batches of either. Sequences of unequal length are padded at the end (token ids and masks with 0,
    labels with -100); a mask is made if there is none and lengths differ. DataError says what does not fit.
    """
    if isinstance(data, Samples):
        return data
    if isinstance(data, Mapping):
        return _from_table(data)
    if isinstance(data, tuple) and len(data) == 2:
        return Samples(data[0], data[1])
    if isinstance(data, DataLoader):
        batches = [_as_samples(batch) for batch in data]
        rows = [row for batch in batches for row in _rows(batch)]
    elif hasattr(data, "__getitem__") and hasattr(data, "__len__"):
        rows = [_row(data[place]) for place in range(len(data))]
    else:
        raise DataError(
            f"data is a {type(data).__name__}; give (inputs, labels), a table with 'labels', a Dataset or a DataLoader"
        )
    if not rows:
        raise DataError("the data holds no samples; give at least one input and its label")
    return _stacked(rows)


def _from_table(table: Mapping[str, Tensor]) -> Samples:
    parts = dict(table)
    found = [name for name in LABELS if name in parts]
    if not found:
        raise DataError(f"the table has {', '.join(parts) or 'nothing'} and no 'labels'; add them")
    labels = parts.pop(found[0])
    return Samples(parts, labels)


def _as_samples(batch: Any) -> Samples:
    if isinstance(batch, Mapping):
        return _from_table(batch)
    if isinstance(batch, Sequence) and len(batch) == 2:
        return Samples(batch[0], batch[1])
    raise DataError(f"a batch is a {type(batch).__name__}; give (inputs, labels) or a table with 'labels'")


def _rows(samples: Samples) -> Iterable[dict[str, Tensor]]:
    parts = {**samples.by_name(), "labels": samples.labels}
    return ({name: tensor[place] for name, tensor in parts.items()} for place in range(len(samples)))


def _row(item: Any) -> dict[str, Tensor]:
    if isinstance(item, Mapping):
        row = {name: torch.as_tensor(value) for name, value in item.items()}
        found = [name for name in LABELS if name in row]
        if not found:
            raise DataError(f"a sample has {', '.join(row) or 'nothing'} and no 'labels'; add them")
        return {**{name: value for name, value in row.items() if name != found[0]}, "labels": row[found[0]]}
    if isinstance(item, Sequence) and len(item) == 2:
        return {"inputs": torch.as_tensor(item[0]), "labels": torch.as_tensor(item[1])}
    raise DataError(f"a sample is a {type(item).__name__}; give (input, label) or a table with 'labels'")


def _stacked(rows: Sequence[Mapping[str, Tensor]]) -> Samples:
    names = list(rows[0])
    if any(list(row) != names for row in rows):
        raise DataError(f"samples differ in what they hold; the first has {', '.join(names)}")
    parts = {name: [row[name] for row in rows] for name in names}
    lengths = {name: {value.shape for value in values} for name, values in parts.items()}
    if any(len(shapes) > 1 for name, shapes in lengths.items() if name != "labels") and MASK not in names:
        first = next(name for name in names if len(lengths[name]) > 1)
        parts[MASK] = [torch.ones(len(value), dtype=torch.long) for value in parts[first]]
    stacked = {name: _padded(name, values) for name, values in parts.items()}
    labels = stacked.pop("labels")
    return Samples(stacked["inputs"] if list(stacked) == ["inputs"] else stacked, labels)


def _padded(name: str, values: Sequence[Tensor]) -> Tensor:
    shapes = {value.shape for value in values}
    if len(shapes) == 1:
        return torch.stack(list(values))
    if {len(shape) for shape in shapes} != {1}:
        raise DataError(f"the {name} have shapes {sorted(map(tuple, shapes))[:3]}; only sequences can be padded")
    return pad_sequence(list(values), batch_first=True, padding_value=PADDING.get(name, 0))
