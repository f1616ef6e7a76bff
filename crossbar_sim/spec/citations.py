"""Citations: the keys that numbers carry as their `source`, and the papers behind them.

`bibtex(hardware.sources())` is ready for a paper's .bib file; `reference("wan2022").text()` for a footnote.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib import resources

from crossbar_sim.spec.errors import SpecError
from crossbar_sim.spec.spec import ASSUMPTION, nearest

OWN_DATA = "own_data"
"""The source of a number fitted to the user's own measurement; it has no paper either."""
NO_PAPER = (ASSUMPTION, OWN_DATA)

ENTRY = re.compile(r"@(\w+)\{([\w-]+),$")
FIELD = re.compile(r"  (\w+) = \{{1,2}([^{}]+)\}{1,2},$")


@dataclass(frozen=True)
class Reference:
    """One published work. `venue` is the journal, the conference or how it was published."""

    key: str
    title: str
    authors: tuple[str, ...]
    venue: str
    year: int
    volume: str | None
    pages: str | None
    doi: str | None
    url: str | None
    bibtex: str

    @property
    def link(self) -> str | None:
        """Where it can be read: the DOI as an address, else the address, else None."""
        return f"https://doi.org/{self.doi}" if self.doi else self.url

    def text(self) -> str:
        """The citation in one line of plain text."""
        names = [_surname_last(author) for author in self.authors]
        if len(names) > 4 or names[-1] == "others":
            people = f"{names[0]} et al."
        else:
            people = " and ".join(part for part in (", ".join(names[:-1]), names[-1]) if part)
        place = " ".join(part for part in (self.venue, self.volume) if part)
        pages = f", {self.pages.replace('--', '–')}" if self.pages else ""
        line = f"{people}, “{self.title}”, {place}{pages}, {self.year}"
        return f"{line}, {self.link}" if self.link else line


def known_keys() -> list[str]:
    """Every citation key, in alphabetical order."""
    return sorted(_library())


def reference(key: str) -> Reference:
    """The work behind a key; SpecError names the nearest key if there is none."""
    if key == ASSUMPTION:
        raise SpecError(f"'{ASSUMPTION}' marks a number that nobody published; there is no paper to cite")
    if key == OWN_DATA:
        raise SpecError(f"'{OWN_DATA}' marks a number from your own measurement; there is no paper to cite yet")
    if key not in _library():
        raise SpecError(f"no reference with the key '{key}'{nearest(key, known_keys())}")
    return _library()[key]


def bibtex(keys: Iterable[str]) -> str:
    """BibTeX entries (UTF-8) of the keys, each once, in the order given; 'assumption' and 'own_data' have none
    and are passed over.

    Raises SpecError for an unknown key.
    """
    cited = dict.fromkeys(key for key in keys if key not in NO_PAPER)
    return "\n".join(reference(key).bibtex for key in cited)


def parse_bibliography(text: str, where: str) -> dict[str, Reference]:
    """Read the one BibTeX layout that references.bib is written in: a field per line, no braces inside a value
    but one more pair around a title.

    Raises SpecError with the file and line of anything else.
    """
    found: dict[str, Reference] = {}
    key = ""
    lines: list[str] = []
    fields: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not key and (not line.strip() or line.startswith("%")):
            continue
        entry, field = ENTRY.match(line), FIELD.match(line)
        if not key and entry:
            if entry[2] in found:
                raise SpecError(f"{where}, line {number}: the key '{entry[2]}' is there twice; rename one")
            key = entry[2]
            lines, fields = [line], {}
        elif key and field:
            fields[field[1]] = field[2]
            lines.append(line)
        elif key and line == "}":
            found[key] = _reference(key, fields, "\n".join([*lines, line, ""]), f"{where}, line {number}")
            key = ""
        else:
            raise SpecError(
                f"{where}, line {number}: expected '@type{{key,', '  field = {{value}},' or '}}', got {line!r}"
            )
    if key:
        raise SpecError(f"{where}: the entry '{key}' does not end; close it with '}}' on a line of its own")
    return found


def _reference(key: str, fields: dict[str, str], text: str, where: str) -> Reference:
    venue = fields.get("journal") or fields.get("booktitle") or fields.get("howpublished")
    missing = [name for name in ("author", "title", "year") if name not in fields]
    missing += [] if venue else ["journal (or booktitle, howpublished)"]
    if missing or venue is None or not fields["year"].isdigit():
        raise SpecError(f"{where}: the entry '{key}' needs {', '.join(missing) or 'a year in digits'}")
    return Reference(
        key=key,
        title=fields["title"],
        authors=tuple(fields["author"].split(" and ")),
        venue=venue,
        year=int(fields["year"]),
        volume=fields.get("volume"),
        pages=fields.get("pages"),
        doi=fields.get("doi"),
        url=fields.get("url"),
        bibtex=text,
    )


def _surname_last(author: str) -> str:
    """'Hu, Edward J.' -> 'Edward J. Hu'."""
    surname, comma, given = author.partition(", ")
    return f"{given} {surname}" if comma else surname


@cache
def _library() -> dict[str, Reference]:
    path = resources.files("crossbar_sim.spec") / "references.bib"
    return parse_bibliography(path.read_text(encoding="utf-8"), where="references.bib")
