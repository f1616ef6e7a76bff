"""Other simulators, where they are installed: each imports its package inside, and is left out where there is none."""

from __future__ import annotations

import copy
import importlib
import importlib.util
from collections.abc import Iterator
from functools import partial
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from benchmarks.peers.case import Run

Singles = NDArray[np.float32]


class Product(Protocol):
    """A simulator's product, with its converters or `lossless`."""

    def __call__(self, *, lossless: bool) -> Run: ...


def installed(package: str) -> bool:
    """Whether a package can be imported."""
    return importlib.util.find_spec(package) is not None


def products(kind: str, x: Singles, weight: Singles, full: float) -> Iterator[tuple[str, Product]]:
    """Simulators that can run case B, C or D on x (vectors, inputs) and weight (outputs, inputs); full: ADC range."""
    if installed("simulator"):
        yield "CrossSim", lambda *, lossless: crosssim(kind, x, weight, full, lossless)
    if installed("aihwkit") and kind in "BC":
        yield "aihwkit", lambda *, lossless: aihwkit(kind, x, weight, full, lossless)


def crosssim(kind: str, x: Singles, weight: Singles, full: float, lossless: bool) -> Run:
    """CrossSim's AnalogCore."""
    simulator = importlib.import_module("simulator")
    parameters: Any = simulator.CrossSimParameters()
    core, device = parameters.core, parameters.xbar.device
    dac, adc = parameters.xbar.dac.mvm, parameters.xbar.adc.mvm
    core.rows_max = core.cols_max = 128
    core.weight_bits = 8
    core.mapping.weights.percentile = 1.0
    core.mapping.inputs.mvm.min, core.mapping.inputs.mvm.max = (0.0 if kind == "D" else -1.0), 1.0
    device.infinite_on_off_ratio = kind != "C"
    device.Rmin, device.Rmax = 1e4, 1e5
    dac.model, adc.model = ("QuantizerDAC" if kind == "D" else "SignMagnitudeDAC"), "SignMagnitudeADC"
    # choosing a model replaces the parameters, so they are looked up again
    dac, adc = parameters.xbar.dac.mvm, parameters.xbar.adc.mvm
    dac.bits, adc.bits = 8, 8
    adc.adc_range_option = "CALIBRATED"
    if kind == "D":
        dac.signed = False
        core.style = "BITSLICED"
        core.bit_sliced.num_slices, core.bit_sliced.style = 4, "BALANCED"
        dac.input_bitslicing, adc.adc_per_ibit = True, True
        adc.calibrated_range = [[-127 / 3, 127 / 3]] * 4
    else:
        core.style, device.cell_bits = "BALANCED", 7
        full *= 1.0 if kind == "B" else 0.9  # with an on/off ratio of ten, a weight is 0.9 of the conductance
        adc.calibrated_range = [-full, full]
    if kind == "C" and not lossless:
        for noise in (device.read_noise, device.programming_error):
            noise.enable = True
            noise.model = "NormalIndependentDevice"
            noise.magnitude = 0.01
    if lossless:
        dac.bits = adc.bits = device.cell_bits = 0
    analog, columns = simulator.AnalogCore(weight, parameters), np.ascontiguousarray(x.T)
    return lambda: analog.matmat(columns).T


def aihwkit(kind: str, x: Singles, weight: Singles, full: float, lossless: bool) -> Run:
    """aihwkit's AnalogLinearMapped on its C++ inference tile."""
    layers = importlib.import_module("aihwkit.nn")
    config = inference_tile(full, 0.01 if kind == "C" else 0.0, lossless)
    layer: Any = layers.AnalogLinearMapped(weight.shape[1], weight.shape[0], bias=False, rpu_config=config)
    layer.set_weights(torch.from_numpy(weight))
    layer.eval()
    if kind == "C" and not lossless:
        layer.program_analog_weights()
    inputs = torch.from_numpy(x)

    def run() -> torch.Tensor:
        with torch.no_grad():
            return layer(inputs)

    return run


def inference_tile(full: float, noise: float, lossless: bool = False) -> Any:
    """aihwkit's tiles of 128 x 128 with 8-bit converters; full: ADC range; noise: of every read, in largest weights."""
    configs = importlib.import_module("aihwkit.simulator.configs")
    choices = importlib.import_module("aihwkit.simulator.parameters.enums")
    config: Any = configs.InferenceRPUConfig()
    config.mapping.max_input_size = config.mapping.max_output_size = 128
    config.mapping.digital_bias, config.mapping.weight_scaling_omega = False, 0.0
    forward = config.forward
    forward.inp_res = forward.out_res = -1 if lossless else 1 / 254
    forward.inp_bound, forward.out_bound = 1.0, 1e6 if lossless else full
    forward.out_noise = forward.inp_noise = forward.w_noise = 0.0
    forward.bound_management = choices.BoundManagementType.NONE
    forward.noise_management = choices.NoiseManagementType.NONE
    if noise and not lossless:
        forward.w_noise, forward.w_noise_type = noise, choices.WeightNoiseType.ADDITIVE_CONSTANT
    return config


def aihwkit_models(digital: nn.Module, images: torch.Tensor, full: float) -> Iterator[tuple[str, Run]]:
    """The model on aihwkit's C++ inference tiles, without and with read noise; inputs scaled by their largest."""
    convert = importlib.import_module("aihwkit.nn.conversion").convert_to_analog
    choices = importlib.import_module("aihwkit.simulator.parameters.enums")
    for name, noise in (("aihwkit", 0.0), ("aihwkit, noisy cells", 0.01)):
        config = inference_tile(full, noise)
        config.mapping.digital_bias = True
        config.forward.noise_management = choices.NoiseManagementType.ABS_MAX
        model = convert(copy.deepcopy(digital), config).eval()
        yield name, partial(_forward, model, images)


@torch.no_grad()
def _forward(model: nn.Module, images: torch.Tensor) -> torch.Tensor:
    result: torch.Tensor = model(images)
    return result


def aihwkit_programming(weight: torch.Tensor) -> Run:
    """aihwkit's programming error of a ReRAM array: one number per cell, no pulses, no energy."""
    layers = importlib.import_module("aihwkit.nn")
    config = inference_tile(1.0, 0.0)
    config.noise_model = importlib.import_module("aihwkit.inference.noise.reram").ReRamWan2022NoiseModel()
    layer: Any = layers.AnalogLinearMapped(weight.shape[1], weight.shape[0], bias=False, rpu_config=config)
    layer.set_weights(weight)
    layer.eval()
    return lambda: layer.program_analog_weights()


def aihwkit_updates(x: torch.Tensor, goal: torch.Tensor, error: torch.Tensor, rate: float) -> Iterator[tuple[str, Run]]:
    """aihwkit's analog SGD on its ReRamES preset: the update of the tile alone, and a whole step."""
    layers, optimizers = importlib.import_module("aihwkit.nn"), importlib.import_module("aihwkit.optim")
    presets = importlib.import_module("aihwkit.simulator.presets")
    layer: Any = layers.AnalogLinear(x.shape[1], goal.shape[1], bias=False, rpu_config=presets.ReRamESPreset())
    optimizer: Any = optimizers.AnalogSGD(layer.parameters(), lr=rate)
    optimizer.regroup_param_groups()

    def step() -> None:
        optimizer.zero_grad()
        torch.nn.functional.mse_loss(layer(x), goal).backward()
        optimizer.step()

    step()  # hands the learning rate to the tile
    tile: Any = next(layer.analog_tiles())
    yield "update alone", lambda: tile.update(x, error)
    yield "a whole step", step
