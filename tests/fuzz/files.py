"""Damaged and hostile files through everything that reads one."""

from __future__ import annotations

import json
import tempfile
import tomllib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w
import torch

from benchmarks.experiments.experiment import Result
from benchmarks.experiments.record import RunRecord
from benchmarks.experiments.suites import find, load_comparison, load_experiment
from benchmarks.problems.model_file import read_model
from crossbar_sim import DeviceModel, Hardware
from crossbar_sim.devices.fit import example, fit
from crossbar_sim.devices.pulse_data import read_pulses
from crossbar_sim.spec.spec import read_toml
from peft_methods import LoRA, Pool
from peft_methods.checkpoints.lora import load_lora, save_lora
from peft_methods.saving import load_native, save_native
from tests.benchmarks.reporting.results import make_record, make_result
from tests.conftest import tiny_net, tiny_pool
from tests.fuzz.draw import at, changed, pick, places, put
from tests.fuzz.run import Unsound

Files = dict[str, bytes]
"""By name in a folder: what is read there."""
Read = Callable[[Path], object]


def toml(document: dict[str, Any]) -> bytes:
    return tomli_w.dumps(document).encode()


def whole(draw: np.random.Generator, path: Path) -> None:
    """Pulse data, and a device that is fitted to them."""
    data = read_pulses(path, pick(draw, [None, None, 2, 5]))
    fitted = fit(data, "measured")
    str(fitted), fitted.device.to_toml()


def finite_pool(path: Path) -> None:
    pool = Pool.load(path)
    for module in pool.modules:
        if not bool(torch.isfinite(pool.stacked_b(module) @ pool.stacked_a(module)).all()):
            raise Unsound(f"the modules of a pool multiply to NaN or infinity in {module}")


@cache
def kept() -> dict[str, tuple[Files, Callable[[np.random.Generator, Path], object]]]:
    """By kind, files that are right and what reads them; the first file, or the folder where there are several."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for index, weights in enumerate(tiny_pool(tiny_net()).members):
            save_lora(folder / "pool" / f"module{index}", weights, "tiny")
        save_native(folder / "native", LoRA().attach(tiny_net()), "tiny")

        def below(part: str) -> Files:
            inside = folder / part
            return {str(p.relative_to(inside)): p.read_bytes() for p in inside.rglob("*") if p.is_file()}

        lora, pool, native = below("pool/module0"), below("pool"), below("native")
    suite = read_toml(find("default"))
    one = {key: value for key, value in suite.items() if key not in ("name", "methods", "tasks")}
    device, design = DeviceModel.load("wu2018"), Hardware.load("milo2021_128x128")
    layers = [{"name": f"l{n}", "inputs": 8, "outputs": 8} for n in range(2)]
    record, result = make_record(0, 0.5).as_json(), make_result("LoRA (SRAM)").as_json()
    return {
        "device": ({"a.toml": device.to_toml().encode()}, lambda _, path: DeviceModel.from_toml(path)),
        "hardware": ({"a.toml": design.to_toml().encode()}, lambda _, path: Hardware.from_toml(path)),
        "suite": ({"a.toml": toml(suite)}, lambda _, path: load_comparison(str(path)).experiments()),
        "experiment": (
            {"a.toml": toml({**one, "task": "fliplr+dim", "method": {"name": "lora", "rank": 2}})},
            lambda _, path: load_experiment(str(path)),
        ),
        "model": ({"a.toml": toml({"name": "mine", "tokens": 2, "layers": layers})}, lambda _, path: read_model(path)),
        "pulses": ({"a.csv": example("wu2018", 2).encode()}, whole),
        "record": ({"seed_0.json": json.dumps(record).encode()}, lambda _, path: RunRecord.load(path)),
        "result": ({"result.json": json.dumps(result).encode()}, lambda _, path: Result.load(path).record()),
        "lora": (lora, lambda _, path: load_lora(path)),
        "pool": (pool, lambda _, path: finite_pool(path)),
        "native": (native, lambda _, path: load_native(path, tiny_net())),
    }


def files(draw: np.random.Generator, folder: Path) -> None:
    """One kind of file, one of its parts damaged."""
    kind = pick(draw, sorted(kept()))
    right, read = kept()[kind]
    damaged = pick(draw, sorted(right))
    for name, content in right.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(spoil(draw, name, content) if name == damaged else content)
    if draw.random() < 0.05:
        (folder / damaged).unlink()
        if draw.random() < 0.5:
            (folder / damaged).mkdir()
    try:
        read(draw, folder if kind in ("lora", "pool", "native") else folder / damaged)
    except (TypeError, AttributeError) as error:
        raise type(error)(f"{kind}: {error}") from error


def spoil(draw: np.random.Generator, name: str, content: bytes) -> bytes:
    """Damaged content: its bytes, its words or its values."""
    if draw.random() < 0.4:
        return pick(draw, BYTES)(draw, content)
    if name.endswith((".toml", ".json")):
        return pick(draw, [values, values, values, words])(draw, content)
    if name.endswith(".csv"):
        return cells(draw, content)
    return header(draw, content)


def values(draw: np.random.Generator, content: bytes) -> bytes:
    """Some values of a TOML or JSON file changed, or keys added."""
    json_file = content.startswith(b"{")
    document = json.loads(content) if json_file else tomllib.loads(content.decode())
    for _ in range(int(draw.integers(1, 4))):
        way = pick(draw, places(document))
        if draw.random() < 0.15:
            way = (*way[:-1], pick(draw, ["", "unknown", "seed", "name", "é" * 50, "__class__"]))
            value: Any = pick(draw, [0, "x", [], {}])
        else:
            try:
                value = changed(draw, at(document, way))
            except (KeyError, IndexError, TypeError):
                continue
        put(document, way, value)
    if json_file:
        return json.dumps(document).encode()
    try:
        return tomli_w.dumps(_for_toml(document)).encode()
    except (TypeError, ValueError):
        return content


def _for_toml(value: Any) -> Any:
    """TOML has no null and no tuples."""
    if isinstance(value, dict):
        return {key: _for_toml(item) for key, item in value.items() if item is not None}
    return [_for_toml(item) for item in value if item is not None] if isinstance(value, list | tuple) else value


def words(draw: np.random.Generator, content: bytes) -> bytes:
    """A number of the text replaced by what stands for none."""
    spots = [place for place, byte in enumerate(content) if chr(byte).isdigit()] or [0]
    spot = pick(draw, spots)
    hostile = [b"nan", b"NaN", b"inf", b"Infinity", b"1e999", b"9" * 5000, b"-", b"null", b"[" * 50, b'"', b"\\u0000"]
    return content[:spot] + pick(draw, hostile) + content[spot + 1 :]


def cells(draw: np.random.Generator, content: bytes) -> bytes:
    """Cells, lines or the header of a table changed."""
    lines = content.decode().splitlines()
    for _ in range(int(draw.integers(1, 4))):
        row = int(draw.integers(len(lines))) if draw.random() < 0.7 else 0
        parts = lines[row].split(",")
        hostile = ["", "nan", "inf", "-1", "1e300", "9" * 400, "x", "0,5", '"', "conductance", "9999999999", "0x1", "é"]
        parts[int(draw.integers(len(parts)))] = pick(draw, hostile)
        lines[row] = pick(draw, [",", ",", ";", "\t"]).join(parts)
        if draw.random() < 0.2:
            lines.insert(row, lines[row])
        if draw.random() < 0.2:
            del lines[1:]
    return "\n".join(lines).encode()


def header(draw: np.random.Generator, content: bytes) -> bytes:
    """The header of a safetensors file, or its numbers."""
    length = int.from_bytes(content[:8], "little")
    table, data = json.loads(content[8 : 8 + length]), bytearray(content[8 + length :])
    if draw.random() < 0.5:
        hostile = [float("nan"), float("inf"), 3e38, -3e38, 1e-45]
        word = np.array([pick(draw, hostile)], np.float32).tobytes()
        spot = 4 * int(draw.integers(len(data) // 4))
        data[spot : spot + 4] = word
    else:
        way = pick(draw, places(table))
        put(table, way, pick(draw, [*DTYPES, changed(draw, at(table, way))]))
    text = json.dumps(table).encode()
    return len(text).to_bytes(8, "little") + text + bytes(data)


DTYPES = ("F16", "BF16", "F64", "I8", "I64", "BOOL", "C64", "F8_E5M2")


def _cut(draw: np.random.Generator, content: bytes) -> bytes:
    return content[: int(draw.integers(len(content) + 1))]


def _flipped(draw: np.random.Generator, content: bytes) -> bytes:
    text = bytearray(content)
    for _ in range(int(draw.integers(1, 20))):
        text[int(draw.integers(len(text)))] = int(draw.integers(256))
    return bytes(text)


def _deep(draw: np.random.Generator, content: bytes) -> bytes:
    depth = int(draw.integers(100, 5000))
    opened, closed = pick(draw, [(b"[", b"]"), (b'{"a":', b"}"), (b"{a=", b"}")])
    nested = opened * depth + b"1" + closed * depth
    return (
        content + b"\ndeep = " + nested if b" = " in content else pick(draw, [nested, b'{"format": ' + nested + b"}"])
    )


def _unicode(draw: np.random.Generator, content: bytes) -> bytes:
    text = content.decode("latin-1")
    return text.encode(pick(draw, ["utf-8-sig", "utf-16", "utf-32", "utf-7"]))


def _twice(_: np.random.Generator, content: bytes) -> bytes:
    return content + b"\n" + content


def _many_keys(draw: np.random.Generator, content: bytes) -> bytes:
    keys = range(int(draw.integers(10, 3000)))
    if content.startswith(b"{"):
        return json.dumps({**json.loads(content), **{f"key{n}": n for n in keys}}).encode()
    return b"".join(f"key{n} = {n}\n".encode() for n in keys) + content


def _other(draw: np.random.Generator, _: bytes) -> bytes:
    dotted = b".".join([b"a"] * 400) + b" = 1"
    return pick(draw, [b"", b"\0" * 64, b"null", b"[]", b"{}", b"1", b'"x"', b"\xff\xfe", b"\n" * 10**6, dotted])


BYTES = (_cut, _flipped, _deep, _unicode, _twice, _many_keys, _other)
"""What happens to any file."""
