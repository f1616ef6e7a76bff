"""Fetching: pinned packages are compared with their hashes, named files alone are unpacked, mistakes are sentences."""

import hashlib
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks.problems import fetching
from benchmarks.problems.catalogue import SHIPPED
from benchmarks.problems.fetching import (
    CACHE_VARIABLE,
    Package,
    Packages,
    cache_folder,
    check_fetched,
    digest_of,
    fetch,
    known_packages,
    member,
    needed,
)
from benchmarks.problems.problem import ProblemError
from crossbar_sim import SpecError

WHEEL = "toy-1.0-py3-none-any.whl"
TEXT = b"a\tb\n"


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    """A wheel of two data files and a module that must never run."""
    path = tmp_path / "wheels" / WHEEL
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("toy/data/one.txt", TEXT)
        archive.writestr("toy/data/two.txt", b"not needed")
        archive.writestr("toy/__init__.py", "raise SystemExit")
    return path


@pytest.fixture
def package(wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Package:
    """The only known package; its cache is empty."""
    content = wheel.read_bytes()
    made = Package(
        requirement="toy==1.0",
        file=WHEEL,
        bytes=len(content),
        sha256=sha(content),
        licence="MIT",
        about="two lines",
        members={"toy/data/one.txt": sha(TEXT)},
    )
    table = Packages(problems={"toy_problem": ("toy",)}, packages={"toy": made})
    monkeypatch.setattr(fetching, "known_packages", lambda: table)
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    return made


def refuse(*_: object, **__: object) -> None:
    raise AssertionError("pip was called")


def pip_that(does: Callable[[Path], None], code: int = 0, says: str = "") -> Callable[..., SimpleNamespace]:
    def run(command: list[str], **_: object) -> SimpleNamespace:
        does(Path(command[command.index("--dest") + 1]))
        return SimpleNamespace(returncode=code, stderr=says)

    return run


def test_only_named_files_are_unpacked(package: Package, wheel: Path, tmp_path: Path) -> None:
    fetch("toy_problem", wheel.parent, say=lambda _: None)
    files = [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    assert [path.name for path in files] == ["one.txt"]
    assert member("toy_problem", "toy", "toy/data/one.txt").read_bytes() == TEXT


def test_what_is_there_is_not_fetched_again(package: Package, wheel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fetch("toy_problem", wheel.parent, say=lambda _: None)
    monkeypatch.setattr(subprocess, "run", refuse)
    said: list[str] = []
    fetch("toy_problem", say=said.append)
    assert said == ["toy==1.0 is there"]


def test_pip_downloads_the_pinned_version_without_dependencies(
    package: Package, wheel: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[str]] = []

    def run(command: list[str], **options: object) -> SimpleNamespace:
        seen.append(command)
        return pip_that(lambda folder: (folder / WHEEL).write_bytes(wheel.read_bytes()) and None)(command)

    monkeypatch.setattr(subprocess, "run", run)
    fetch("toy_problem", say=lambda _: None)
    assert package.is_fetched()
    assert "--no-deps" in seen[0] and seen[0][-1] == "toy==1.0"


def test_pip_that_fails_is_a_sentence(package: Package, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "run", pip_that(lambda _: None, 1, "WARNING: slow\nERROR: No matching version\n"))
    with pytest.raises(ProblemError, match="pip cannot download toy==1.0 .ERROR: No matching version"):
        fetch("toy_problem", say=lambda _: None)
    assert not package.is_fetched()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content[:-1], "bytes where"),
        (lambda content: bytes([content[0] ^ 1]) + content[1:], "SHA-256 is another"),
    ],
)
def test_another_wheel_is_refused_and_nothing_is_kept(
    package: Package, wheel: Path, tmp_path: Path, change: Callable[[bytes], bytes], message: str
) -> None:
    wheel.write_bytes(change(wheel.read_bytes()))
    with pytest.raises(ProblemError, match=message):
        fetch("toy_problem", wheel.parent, say=lambda _: None)
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


def test_a_folder_without_the_wheel_is_a_sentence(package: Package, tmp_path: Path) -> None:
    with pytest.raises(ProblemError, match="holds no toy-1.0"):
        fetch("toy_problem", tmp_path, say=lambda _: None)


def test_what_is_missing_names_the_command_and_the_size(package: Package, tmp_path: Path) -> None:
    with pytest.raises(ProblemError) as caught:
        member("toy_problem", "toy", "toy/data/one.txt")
    message = str(caught.value)
    assert "needs toy==1.0; `xbar problem fetch toy_problem` gets it" in message
    assert str(tmp_path / "cache") in message and len(message) <= 400
    with pytest.raises(ProblemError, match="toy==1.0"):
        check_fetched("toy_problem")


def test_a_file_that_was_changed_in_the_cache_is_refused(package: Package, wheel: Path) -> None:
    fetch("toy_problem", wheel.parent, say=lambda _: None)
    (package.folder() / "toy/data/one.txt").write_bytes(b"changed")
    with pytest.raises(ProblemError, match="not the file that was fetched"):
        member("toy_problem", "toy", "toy/data/one.txt")


def test_digest_follows_the_pinned_files_without_reading_them(package: Package) -> None:
    assert digest_of("toy", ("toy/data/one.txt",)) == digest_of("toy", ("toy/data/one.txt",))
    assert not package.is_fetched()


def test_a_problem_that_ships_whole_needs_nothing() -> None:
    said: list[str] = []
    fetch("digits_vit", say=said.append)
    assert said == ["'digits_vit' ships whole; there is nothing to fetch"]


@pytest.mark.parametrize("path", ["../evil", "/etc/passwd", "a/../../b", "c:\\x", "a\\b"])
def test_members_stay_in_the_folder_of_their_package(package: Package, path: str) -> None:
    with pytest.raises(SpecError, match="leaves the folder"):
        package.replace(members={path: sha(TEXT)})


def test_cache_folder_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(CACHE_VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "crossbar_sim"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache" / "crossbar_sim"
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "own"))
    assert cache_folder() == tmp_path / "own"


def test_the_table_that_ships_is_whole() -> None:
    table = known_packages()
    assert set(table.problems) <= set(SHIPPED)
    for problem in table.problems:
        assert needed(problem)
    for package in table.packages.values():
        assert package.licence and package.about and package.members
