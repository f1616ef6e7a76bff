"""Citations: every key of the library resolves, entries come out as they were written, mistakes are explained."""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import crossbar_sim
from benchmarks.problems.catalogue import problem_names
from benchmarks.problems.find import find_problem
from benchmarks.reporting.sections import COMMON_REFERENCES
from crossbar_sim import Hardware, SpecError
from crossbar_sim.hardware.hardware import hardware_names
from crossbar_sim.spec.citations import bibtex, known_keys, parse_bibliography, reference
from crossbar_sim.spec.spec import ASSUMPTION
from peft_methods import METHODS, RULES

LIBRARY = Path(crossbar_sim.__file__).parent / "library"
ENTRY = """@article{key2020,
  author = {One, A. and Two, B.},
  title = {{A Title}},
  journal = {J},
  year = {2020},
}
"""


def sources_in(table: Any) -> Iterator[str]:
    if isinstance(table, dict):
        if isinstance(table.get("source"), str):
            yield table["source"]
        for value in table.values():
            yield from sources_in(value)


@pytest.mark.parametrize("path", sorted(LIBRARY.rglob("*.toml")), ids=lambda path: path.stem)
def test_every_source_of_the_library_resolves(path: Path) -> None:
    keys = set(sources_in(tomllib.loads(path.read_text(encoding="utf-8")))) - {ASSUMPTION}
    assert keys
    for key in keys:
        assert reference(key).key == key


@pytest.mark.parametrize("name", hardware_names())
def test_hardware_cites_itself(name: str) -> None:
    sources = Hardware.load(name).sources()
    text = bibtex(sources)
    assert all(f"{{{key}," in text for key in sources if key != ASSUMPTION)
    assert list(parse_bibliography(text, "the output")) == [key for key in sources if key != ASSUMPTION]


def test_every_reference_is_complete() -> None:
    for key in known_keys():
        work = reference(key)
        assert work.title and work.venue and work.authors and 1990 < work.year < 2100
        assert not work.doi or work.doi.startswith("10.")
        assert not work.url or work.url.startswith("https://")
        line = work.text()
        assert work.title in line and str(work.year) in line and "\n" not in line and "{" not in line
        assert work.link is None or line.endswith(work.link)


def test_keys_of_the_report_exist() -> None:
    papers = [kind.papers for kind in (*METHODS.values(), *RULES.values())]
    problems = [find_problem(name).papers for name in problem_names()]
    for keys in (COMMON_REFERENCES, *papers, *problems):
        assert all(reference(key) for key in keys)
    assert [name for name, kind in METHODS.items() if not kind.papers] == ["full-fine-tuning", "linear-probe", "frozen"]
    assert [name for name, kind in RULES.items() if not kind.papers] == ["write_verify"]


def test_lorafusion_is_cited_as_published() -> None:
    work = reference("guo2025")
    assert work.doi == "10.1145/3716368.3735213"
    assert work.authors == ("Guo, Jingkai", "Ali, Asmer", "Yang, Li", "Fan, Deliang")
    assert work.text().startswith("Jingkai Guo, Asmer Ali, Li Yang and Deliang Fan, “LoRAFusion")


def test_authors_in_text() -> None:
    assert reference("horowitz2014").text().startswith("Mark Horowitz, “")
    assert reference("loshchilov2019").text().startswith("Ilya Loshchilov and Frank Hutter, “")
    assert reference("wan2022").text().startswith("Weier Wan et al., “")
    assert reference("perez2021").text().startswith("Eduardo Pérez et al., “")


def test_bibtex_keeps_order_and_drops_repeats_and_assumptions() -> None:
    text = bibtex(["wan2022", ASSUMPTION, "cacti", "wan2022"])
    assert text.index("@article{wan2022,") < text.index("@article{cacti,")
    assert text.count("@") == 2
    assert bibtex([]) == ""


def test_unknown_key_names_the_nearest() -> None:
    with pytest.raises(SpecError, match=r"'wan2023'.*did you mean 'wan2022'"):
        bibtex(["wan2023"])
    with pytest.raises(SpecError, match="nobody published"):
        reference(ASSUMPTION)


def test_reference_is_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        reference("cacti").year = 1999  # type: ignore[misc]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("  year = {2020},\n", "", "needs year"),
        ("{2020}", "{soon}", "a year in digits"),
        ("  journal = {J},\n", "", "needs journal"),
        ("  author = {One, A. and Two, B.},", "  author = One", "mine.bib, line 2"),
        ("}\n", "", "mine.bib"),
        ("@article{key2020,", "article key2020", "mine.bib, line 1"),
    ],
)
def test_malformed_entries_are_explained(old: str, new: str, message: str) -> None:
    assert old in ENTRY
    text = ENTRY.removesuffix("}\n") if old == "}\n" else ENTRY.replace(old, new)
    with pytest.raises(SpecError, match=message):
        parse_bibliography(text, "mine.bib")


def test_key_twice_is_refused() -> None:
    assert parse_bibliography(ENTRY, "mine.bib")["key2020"].bibtex == ENTRY
    with pytest.raises(SpecError, match="line 8: the key 'key2020' is there twice"):
        parse_bibliography(ENTRY + "\n" + ENTRY, "mine.bib")
