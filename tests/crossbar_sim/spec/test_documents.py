"""What readers of TOML and JSON accept is bounded, and so is every message."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.problems.model_file import read_model
from crossbar_sim import CrossbarError, DeviceModel, Hardware, SpecError
from crossbar_sim.library import shelf_path
from crossbar_sim.spec.documents import check_safetensors_file, read_json, read_toml
from crossbar_sim.spec.errors import LONGEST

TOML = {
    "deep list": ("x = " + 3000 * "[" + 3000 * "]", "not valid TOML"),
    "deep tables": ("x = " + 60 * "{ a = " + "1" + 60 * " }", "levels deep"),
    "dotted key": (".".join(20_000 * ["a"]) + " = 1", "dotted parts"),
    "dotted table": ("[" + ".".join(20_000 * ["a"]) + "]", "dotted parts"),
    "digits": ("x = " + 5000 * "9", "not valid TOML"),
    "large integer": ("x = " + 30 * "9", "19 digits"),
    "many keys": ("\n".join(f"k{i} = 1" for i in range(30_000)), "more than 20000 keys"),
    "many bytes": ("# " + 2_000_000 * "x", "bytes"),
    "not text": ("\udcff", "not UTF-8"),
}
JSON = {
    "deep list": (100_000 * "[", "is not JSON"),
    "deep enough": (60 * "[" + 60 * "]", "levels deep"),
    "digits": (5000 * "9", "is not JSON"),
    "large integer": (30 * "9", "19 digits"),
    "not finite": ('{"x": NaN}', "NaN is no number"),
    "truncated": ('{"x": 1', "is not JSON"),
    "empty": ("", "is not JSON"),
}


def refused(read: Callable[[Path], object], path: Path, text: str, message: str) -> None:
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    begin = time.monotonic()
    with pytest.raises(SpecError, match=message) as error:
        read(path)
    assert len(str(error.value)) <= LONGEST and time.monotonic() - begin < 20


@pytest.mark.parametrize("case", TOML)
def test_toml_beyond_the_bounds_is_refused(tmp_path: Path, case: str) -> None:
    refused(read_toml, tmp_path / "x.toml", *TOML[case])


@pytest.mark.parametrize("case", JSON)
def test_json_beyond_the_bounds_is_refused(tmp_path: Path, case: str) -> None:
    refused(read_json, tmp_path / "x.json", *JSON[case])


HEADERS = {
    "nothing": (b"", "not a safetensors file"),
    "a long header": ((1 << 25).to_bytes(8, "little") + b"{}", "header of at most"),
    "deep": (len(deep := 60 * b"[" + 60 * b"]").to_bytes(8, "little") + deep, "levels deep"),
    "no JSON": ((3).to_bytes(8, "little") + b"{x}", "is not JSON"),
    "no table": ((2).to_bytes(8, "little") + b"[]", "no table"),
    "no text": ((1).to_bytes(8, "little") + b"\xff", "not UTF-8"),
}


@pytest.mark.parametrize("case", HEADERS)
def test_a_header_of_safetensors_beyond_the_bounds_is_refused(tmp_path: Path, case: str) -> None:
    content, message = HEADERS[case]
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)
    with pytest.raises(SpecError, match=message):
        check_safetensors_file(path)
    with pytest.raises(SpecError, match="cannot be read"):
        check_safetensors_file(tmp_path / "nothing")


@pytest.mark.parametrize("read", [read_toml, read_json, DeviceModel.from_toml])
def test_what_is_no_file_is_refused(tmp_path: Path, read: Callable[[Path], object]) -> None:
    for path in (tmp_path, tmp_path / "nothing.toml", tmp_path / (300 * "x"), tmp_path / (10_000 * "x")):
        with pytest.raises(SpecError) as error:
            read(path)
        assert len(str(error.value)) <= LONGEST


def test_a_byte_order_mark_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_bytes(b"\xef\xbb\xbfx = 1")
    assert read_toml(str(path)) == {"x": 1}


def test_another_kind_of_file_is_named() -> None:
    with pytest.raises(SpecError, match="looks like a device file, but a hardware file is wanted") as error:
        Hardware.load(shelf_path("devices", "milo2021"))
    assert len(str(error.value)) <= LONGEST
    with pytest.raises(SpecError, match="looks like a hardware file, but a device file"):
        DeviceModel.load(str(shelf_path("hardware", "isaac_ce")))


def test_many_unknown_keys_are_one_short_sentence(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text("\n".join(f"k{i} = 1" for i in range(10_000)))
    refused(DeviceModel.from_toml, path, path.read_text(), "more")


def test_every_message_is_short_and_keeps_both_ends() -> None:
    text = str(CrossbarError("what is wrong " + 10_000 * "x" + " what to do next"))
    assert len(text) <= LONGEST and text.startswith("what is wrong") and text.endswith("what to do next")


FIELDS = [
    ("device", {"levels": 2**63}),
    ("device", {"full_swing_pulses": 1e9}),
    ("device", {"reset_full_swing_pulses": 1e9}),
    ("device", {"set_voltage": 1e200}),
    ("device", {"read_voltage": 1e200}),
    ("device", {"reset_pulse_width": 1e300}),
    ("device", {"g_max": 1e-310, "g_min": 0.0}),
    ("device", {"g_max": 1e300}),
    ("tile", {"columns": 10**12}),
    ("tile", {"rows": 2**63}),
    ("adc", {"columns_per_adc": 10**30}),
    ("digital", {"sram_read": 1e300}),
]


@pytest.mark.parametrize(("part", "change"), FIELDS)
def test_a_number_that_overflows_is_refused_by_its_field(part: str, change: dict[str, float]) -> None:
    spec = getattr(Hardware.load("milo2021_128x128"), part)
    with pytest.raises(SpecError, match=next(iter(change))):
        spec.replace(**change)


@pytest.mark.parametrize("notes", [4, "x", [1], None])
def test_notes_on_numbers_are_a_table(notes: object) -> None:
    device = DeviceModel.load("wan2022").model_dump(exclude={"provenance"})
    with pytest.raises(SpecError, match="provenance: must be a table with a note on each number"):
        DeviceModel(**device, provenance=notes)


def test_a_model_of_too_many_layers_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.toml"
    path.write_text('name = "m"\n[[layers]]\nname = "l{i}"\ninputs = 4\noutputs = 4\nrepeat = 1000000\n')
    with pytest.raises(SpecError, match="at most 10000"):
        read_model(path)
