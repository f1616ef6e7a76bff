"""Every kind of layer on tiles: on ideal hardware the same outputs and gradients as torch, and the way back."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils.rnn import pack_sequence

from crossbar_sim import Hardware, MappingError, map_model, unmap
from crossbar_sim.chip.simulated import SimulatedMatrix
from crossbar_sim.layers import MappedLayer
from peft_methods import FullFineTuning, LoRA, fine_tune
from tests.oracles.on_threads import on_threads

Make = Callable[[], nn.Module]
Call = Callable[[nn.Module, torch.Tensor], Any]


class Only(nn.Module):
    """A model of one layer, called as a test wants it."""

    def __init__(self, layer: nn.Module, call: Call = lambda layer, x: layer(x)) -> None:
        super().__init__()
        self.layer, self.call = layer, call

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return flatten(self.call(self.layer, x))


def flatten(result: Any) -> torch.Tensor:
    """Everything a layer returns, in one row of numbers."""
    if isinstance(result, torch.Tensor):
        return result.flatten()
    return torch.cat([flatten(part) for part in result if part is not None])


def itself(**options: Any) -> Call:
    return lambda layer, x: layer(x, x, x, **options)


def other(query: torch.Tensor, **options: Any) -> Call:
    return lambda layer, x: layer(query, x, x, **options)


PADDED = torch.tensor([[False, False, True], [False, False, False]])
FORBIDDEN = torch.tensor([[True, True, True], [False, True, False], [False, False, True]])
CAUSAL = nn.Transformer.generate_square_subsequent_mask(3)
STATE = torch.linspace(-1, 1, 2 * 5).reshape(2, 5)
STATES = torch.linspace(-1, 1, 4 * 2 * 5).reshape(4, 2, 5)

LAYERS: dict[str, tuple[Make, tuple[int, ...], Call]] = {
    "linear": (lambda: nn.Linear(6, 5), (2, 3, 6), lambda layer, x: layer(x)),
    "conv1d": (lambda: nn.Conv1d(4, 6, 3), (2, 4, 9), lambda layer, x: layer(x)),
    "conv1d same": (lambda: nn.Conv1d(4, 6, 4, padding="same", dilation=3), (2, 4, 9), lambda layer, x: layer(x)),
    "conv2d": (lambda: nn.Conv2d(3, 4, 3, bias=False), (2, 3, 5, 6), lambda layer, x: layer(x)),
    "conv2d alone": (lambda: nn.Conv2d(3, 4, (2, 3), stride=(2, 1)), (3, 5, 6), lambda layer, x: layer(x)),
    "depthwise": (lambda: nn.Conv2d(4, 8, 3, groups=4, padding=1), (1, 4, 5, 5), lambda layer, x: layer(x)),
    "attention": (lambda: nn.MultiheadAttention(6, 2), (3, 2, 6), itself()),
    "attention, batch first": (lambda: nn.MultiheadAttention(6, 2, batch_first=True), (2, 3, 6), itself()),
    "attention alone": (lambda: nn.MultiheadAttention(6, 2), (3, 6), itself(average_attn_weights=False)),
    "attention without biases": (lambda: nn.MultiheadAttention(6, 3, bias=False), (3, 2, 6), itself()),
    "attention without weights": (
        lambda: nn.MultiheadAttention(6, 2),
        (3, 2, 6),
        itself(need_weights=False, attn_mask=CAUSAL, is_causal=True),
    ),
    "attention, padding": (lambda: nn.MultiheadAttention(6, 2), (3, 2, 6), itself(key_padding_mask=PADDED)),
    "attention to nothing": (
        lambda: nn.MultiheadAttention(6, 2),
        (3, 2, 6),
        itself(need_weights=False, attn_mask=FORBIDDEN),
    ),
    "attention, mask per head": (
        lambda: nn.MultiheadAttention(6, 2),
        (3, 2, 6),
        itself(attn_mask=torch.linspace(-1, 1, 4 * 9).reshape(4, 3, 3)),
    ),
    "attention, both masks": (
        lambda: nn.MultiheadAttention(6, 2, add_zero_attn=True, add_bias_kv=True),
        (3, 2, 6),
        itself(attn_mask=FORBIDDEN, key_padding_mask=PADDED),
    ),
    "attention, other widths": (
        lambda: nn.MultiheadAttention(6, 2, kdim=5, vdim=5),
        (4, 2, 5),
        other(torch.linspace(-1, 1, 36).reshape(3, 2, 6)),
    ),
    "rnn cell": (lambda: nn.RNNCell(4, 5), (2, 4), lambda layer, x: layer(x)),
    "relu cell": (lambda: nn.RNNCell(4, 5, nonlinearity="relu"), (2, 4), lambda layer, x: layer(x, STATE)),
    "lstm cell": (lambda: nn.LSTMCell(4, 5), (2, 4), lambda layer, x: layer(x, (STATE, -STATE))),
    "lstm cell from zero": (lambda: nn.LSTMCell(4, 5, bias=False), (2, 4), lambda layer, x: layer(x)),
    "gru cell": (lambda: nn.GRUCell(4, 5), (2, 4), lambda layer, x: layer(x, STATE)),
    "gru cell from zero": (lambda: nn.GRUCell(4, 5), (4,), lambda layer, x: layer(x)),
    "rnn": (lambda: nn.RNN(4, 5, nonlinearity="relu"), (3, 2, 4), lambda layer, x: layer(x)),
    "lstm": (lambda: nn.LSTM(4, 5, 2, bidirectional=True), (3, 2, 4), lambda layer, x: layer(x, (STATES, -STATES))),
    "lstm from zero": (lambda: nn.LSTM(4, 5, batch_first=True), (3, 2, 4), lambda layer, x: layer(x)),
    "lstm that projects": (lambda: nn.LSTM(4, 5, 2, proj_size=3), (3, 4), lambda layer, x: layer(x)),
    "gru": (lambda: nn.GRU(4, 5, 2, bidirectional=True, bias=False), (3, 2, 4), lambda layer, x: layer(x, STATES)),
}


def model_of(kind: str) -> tuple[Only, torch.Tensor]:
    make, shape, call = LAYERS[kind]
    torch.manual_seed(1)
    model = Only(make(), call)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.4)  # biases too
    return model, torch.randn(shape)


def gradients(model: nn.Module, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Outputs, and the gradient of a weighted sum of them."""
    x = x.clone().requires_grad_()
    y = model(x)
    (y * torch.linspace(-1, 1, len(y))).sum().backward()
    assert x.grad is not None
    return y.detach(), x.grad


@pytest.mark.filterwarnings("ignore:Using padding='same':UserWarning", "ignore:LSTM with projections:UserWarning")
@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("rows", [128, 4])
def test_on_ideal_hardware_it_equals_torch_and_comes_back(ideal: Hardware, kind: str, rows: int) -> None:
    hardware = ideal.replace(tile=ideal.tile.replace(rows=rows, columns=2 * rows))
    model, x = model_of(kind)
    mapped = copy.deepcopy(model)
    chip = map_model(mapped, hardware, exclude=())
    assert isinstance(mapped.layer, MappedLayer) and not any(name == "layer" for name, _ in chip.skipped)
    mapped.requires_grad_(True)
    (y, gx), (y2, gx2) = gradients(model, x), gradients(mapped, x)
    torch.testing.assert_close(y2, y, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(gx2, gx, rtol=1e-5, atol=3e-6)
    ours = torch.cat([p.grad.flatten() for p in mapped.parameters() if p.grad is not None])
    theirs = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
    for power in (1, 2):  # parameters lie in another order, and what meets a zero state has no gradient
        torch.testing.assert_close(ours.abs().pow(power).sum(), theirs.abs().pow(power).sum(), rtol=1e-4, atol=1e-5)
    unmap(mapped, weights="cells")
    assert type(mapped.layer) is type(model.layer)
    for (name, one), (same, two) in zip(mapped.named_parameters(), model.named_parameters(), strict=True):
        assert name == same and one.requires_grad == two.requires_grad
        torch.testing.assert_close(one, two, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(mapped(x), model(x), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("settings_", [{}, {"adc_bits": 14, "dac_bits": 16}, {"range": "full_scale", "adc_bits": 14}])
@pytest.mark.parametrize("kind", ["conv2d", "attention", "lstm"])
def test_converters_add_a_small_error(milo: Hardware, kind: str, settings_: dict[str, Any]) -> None:
    hardware = milo.without("levels", "programming_error", "read_noise")
    bits = settings_.get("adc_bits", 8)
    hardware = hardware.replace(
        adc=hardware.adc.replace(bits=bits, range=settings_.get("range", "calibrated")),
        dac=hardware.dac.replace(bits=settings_.get("dac_bits", 8)),
    )
    model, x = model_of(kind)
    mapped = copy.deepcopy(model)
    map_model(mapped, hardware)
    error = ((mapped(x) - model(x)).std() / model(x).std()).item()
    assert 0 < error < (0.05 if bits == 8 else 0.01)


@settings(max_examples=60)
@given(
    channels=st.integers(1, 3),
    out=st.integers(1, 3),
    groups=st.integers(1, 3),
    kernel=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    dilation=st.tuples(st.integers(1, 2), st.integers(1, 2)),
    padding=st.tuples(st.integers(0, 2), st.integers(0, 2)),
    mode=st.sampled_from(["zeros", "reflect", "replicate", "circular"]),
    flat=st.booleans(),
    bias=st.booleans(),
)
def test_convolutions_of_any_shape(
    *,
    ideal: Hardware,
    channels: int,
    out: int,
    groups: int,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int],
    padding: tuple[int, int],
    mode: str,
    flat: bool,
    bias: bool,
) -> None:
    settings_: dict[str, Any] = {"groups": groups, "padding_mode": mode, "bias": bias}
    one = slice(1) if flat else slice(2)
    kind: Any = nn.Conv1d if flat else nn.Conv2d
    layer = kind(groups * channels, groups * out, kernel[one], stride[one], padding[one], dilation[one], **settings_)
    model = nn.Sequential(layer)
    x = torch.randn(2, groups * channels, *(7, 6)[one])
    expected = model(x).detach()
    chip = map_model(model, ideal)
    assert len(chip.matrices) == groups
    torch.testing.assert_close(model(x), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors:UserWarning")
def test_encoders_do_not_bypass_the_tiles(milo: Hardware) -> None:
    """In evaluation mode torch's encoders read weights directly, and turn padded batches into nested tensors."""
    encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True), 2).eval()
    x, padded = torch.randn(2, 3, 8), torch.tensor([[False, False, True], [False, False, False]])
    with torch.no_grad():
        expected = encoder(x, src_key_padding_mask=padded)
        for exclude in ((), ("*.self_attn",)):
            mapped = copy.deepcopy(encoder)
            chip = map_model(mapped, milo.ideal(), exclude=exclude)
            before = chip.ledger.energy()
            torch.testing.assert_close(mapped(x, src_key_padding_mask=padded)[~padded], expected[~padded])
            read = {row["place"] for row in chip.ledger.rows() if row["component"] == "ADC"}
            assert read == set(chip.matrices) and chip.ledger.energy() > before
            unmap(mapped, weights="master")
            again = mapped(x, src_key_padding_mask=padded)
            assert torch.equal(again, expected)  # padded positions too: the nested path is open again
    switches = [
        (layer.activation_relu_or_gelu, other.activation_relu_or_gelu)
        for layer, other in zip(mapped.layers, encoder.layers, strict=True)
    ]
    assert all(ours == theirs for ours, theirs in switches)


def test_decoders_run(ideal: Hardware) -> None:
    decoder = nn.TransformerDecoder(nn.TransformerDecoderLayer(8, 2, 16, dropout=0.0), 1).eval()
    x, memory, mask = torch.randn(3, 2, 8), torch.randn(4, 2, 8), CAUSAL
    expected = decoder(x, memory, tgt_mask=mask, tgt_is_causal=True).detach()
    map_model(decoder, ideal)
    torch.testing.assert_close(decoder(x, memory, tgt_mask=mask, tgt_is_causal=True), expected, rtol=1e-5, atol=1e-5)


def test_reads_and_matrices_are_counted(milo: Hardware) -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 2))
    chip = map_model(model, milo)
    model(torch.rand(5, 3, 6, 6))
    assert chip.matrices["0"].path().registers.reads == 5 * 36 and chip.matrices["3"].path().registers.reads == 5
    assert chip.plan.cells_used == 2 * (27 * 4 + 144 * 2)
    lstm = nn.Sequential(nn.LSTM(4, 5, 2))
    chip = map_model(lstm, milo)
    lstm(torch.rand(7, 3, 4))
    assert chip.matrices["0.input_l1"].path().registers.reads == 21
    assert chip.matrices["0.hidden_l1"].path().registers.reads == 18  # the zero state before the first step is not read


@pytest.mark.parametrize("kind", ["conv2d", "depthwise", "attention", "lstm"])
def test_the_same_on_any_number_of_threads_and_another_chip_for_another_seed(milo: Hardware, kind: str) -> None:
    outputs = []
    for seed, threads in ((0, 1), (0, 2), (1, 1)):
        model, x = model_of(kind)
        with on_threads(threads):
            map_model(model, milo, seed=seed)
            outputs.append(model(x))
    assert torch.equal(outputs[0], outputs[1]) and not torch.equal(outputs[0], outputs[2])


def test_unmap_returns_what_the_cells_hold_or_the_masters(milo: Hardware) -> None:
    model, _ = model_of("depthwise")
    original, bias = copy.deepcopy(model.layer.weight), model.layer.bias
    layer = model.layer
    chip = map_model(model, milo)
    held = torch.cat([matrix.weight() for matrix in chip.matrices.values()]).detach()
    written = chip.ledger.writes()
    unmap(model, weights="cells")
    assert model.layer is layer and model.layer.bias is bias
    assert torch.equal(model.layer.weight.flatten(1), held) and not torch.allclose(held, original.flatten(1))
    map_model(model, milo)
    unmap(model, weights="master")
    torch.testing.assert_close(model.layer.weight.flatten(1), held, rtol=1e-5, atol=1e-6)
    assert chip.ledger.writes() == written and chip.writes().sum() == written  # the chip remembers
    with pytest.raises(MappingError, match="no layer on tiles"):
        unmap(model, weights="master")
    with pytest.raises(MappingError, match="'cells' or 'master'"):
        unmap(model, weights="float")  # type: ignore[arg-type]


def test_refusals(milo: Hardware) -> None:
    with pytest.raises(MappingError, match="a single Linear; wrap it"):
        map_model(nn.Linear(2, 2), milo)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.LSTM(4, 4), nn.MultiheadAttention(4, 2), nn.Linear(4, 4))
    map_model(model, milo)
    with pytest.raises(MappingError, match="is on tiles already|no layer to map"):
        map_model(model, milo)
    with pytest.raises(MappingError, match="must have 3 channels and 2 dimensions"):
        model[0](torch.ones(1, 4, 5, 5))
    with pytest.raises(MappingError, match="pad them"):
        model[1](pack_sequence([torch.ones(3, 4)]))
    with pytest.raises(MappingError, match="at least one time step"):
        model[1](torch.ones(0, 1, 4))
    with pytest.raises(MappingError, match="give the mask too"):
        model[2](torch.ones(3, 1, 4), torch.ones(3, 1, 4), torch.ones(3, 1, 4), is_causal=True)
    with pytest.raises(MappingError, match="3 reads 4 inputs per vector, got \\(2, 5\\)"):
        model[3](torch.ones(2, 5))


def test_deep_copies_read_their_own_cells(milo: Hardware) -> None:
    model, _ = model_of("conv2d")
    map_model(model, milo)
    twin = copy.deepcopy(model)
    assert {m for m in twin.modules() if isinstance(m, SimulatedMatrix)}.isdisjoint(model.modules())
    unmap(twin, weights="cells")
    assert type(twin.layer) is nn.Conv2d and isinstance(model.layer, MappedLayer)


class Blocks(nn.Module):
    """A convolution, then numbered blocks of torch's own attention, and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv1d(2, 4, 3, padding=1)
        self.blocks = nn.ModuleList([nn.MultiheadAttention(4, 2, batch_first=True) for _ in range(2)])
        self.head = nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x).transpose(1, 2)
        for block in self.blocks:
            x = x + block(x, x, x, need_weights=False)[0]
        logits: torch.Tensor = self.head(x.mean(dim=1))
        return logits


TRAINED = (
    FullFineTuning(steps=2, batch_size=4, learning_rate=0.2),
    LoRA(rank=1, steps=2, batch_size=4),
    LoRA(rank=1, steps=2, placement="sram", targets=("q_proj", "v_proj")),
)


@pytest.mark.parametrize("method", TRAINED)
def test_methods_train_mapped_attention_and_convolutions(milo: Hardware, method: FullFineTuning | LoRA) -> None:
    torch.manual_seed(0)
    model, x, labels = Blocks(), torch.randn(8, 2, 5), torch.arange(8) % 3
    chip = map_model(model, milo)
    before = set(chip.matrices)
    adapter = method.attach(model, chip)
    history = fine_tune(model, adapter, x, labels)
    written = {place for phase, place in chip.ledger.cells_written if phase == "adapt/update"}
    if isinstance(method, FullFineTuning):
        assert "stem" in written and "blocks.0.q_proj" in written and written <= before
    else:
        assert not written & before
        with pytest.raises(MappingError, match="adapter.detach\\(\\) first"):
            unmap(model, weights="cells")
    assert len(history.loss) == 2
    adapter.detach()
    unmap(model, weights="cells")
    assert type(model.blocks[0]) is nn.MultiheadAttention and type(model.stem) is nn.Conv1d
