"""Ctrl-C is one sentence, and the host program keeps its own excepthook."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from types import TracebackType

import pytest

from crossbar_sim.runtime.interrupts import Interrupted, interrupts_say


@interrupts_say("interrupted; nothing is lost")
def work(error: BaseException | None = None) -> None:
    raise error or KeyboardInterrupt


@pytest.fixture(autouse=True)
def python_s_own_hook(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "excepthook", sys.__excepthook__)


def caught(function: Callable[[], None]) -> None:
    try:
        function()
    except KeyboardInterrupt as error:
        assert str(error) == "interrupted; nothing is lost" and isinstance(error, Interrupted)


def test_an_interrupt_that_is_caught_leaves_no_hook() -> None:
    for _ in range(3):
        caught(work)
        assert sys.excepthook is sys.__excepthook__


def test_an_interrupt_passes_outer_sentences_as_it_is() -> None:
    caught(interrupts_say("an outer sentence")(work))
    assert sys.excepthook is sys.__excepthook__


def test_a_kept_interrupt_does_not_silence_the_next(capsys: pytest.CaptureFixture[str]) -> None:
    kept: list[BaseException] = []
    for _ in range(2):
        try:
            work()
        except KeyboardInterrupt as error:
            kept[:] = [error]  # as sys.last_value does: the one before goes
            assert sys.excepthook is not sys.__excepthook__
            sys.excepthook(type(error), error, None)
        assert sys.excepthook is sys.__excepthook__
    assert capsys.readouterr().err == "interrupted; nothing is lost\n" * 2


def test_other_errors_are_python_s_and_put_its_hook_back(capsys: pytest.CaptureFixture[str]) -> None:
    try:
        work()
    except KeyboardInterrupt:
        sys.excepthook(ValueError, ValueError("of the host"), None)
        assert sys.excepthook is sys.__excepthook__
    assert capsys.readouterr().err == "ValueError: of the host\n"
    with pytest.raises(ValueError, match="of the work"):
        work(ValueError("of the work"))
    assert sys.excepthook is sys.__excepthook__


def test_a_hook_of_the_host_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    def own(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        raise AssertionError("nobody asked it")

    monkeypatch.setattr(sys, "excepthook", own)
    try:
        work()
    except KeyboardInterrupt:
        assert sys.excepthook is own
    monkeypatch.setattr(sys, "excepthook", sys.__excepthook__)
    try:
        work()
    except KeyboardInterrupt:
        sys.excepthook = own  # set while the interrupt is handled
    assert sys.excepthook is own


@pytest.mark.parametrize(
    ("own", "said"),
    [
        ("", "interrupted\n"),
        ("sys.excepthook = lambda kind, error, trace: print('own:', error, file=sys.stderr)", "own:"),
    ],
)
def test_a_script_that_does_not_catch_it_ends_with_one_sentence(own: str, said: str) -> None:
    script = (
        "import sys\nfrom crossbar_sim.runtime.interrupts import interrupts_say\n"
        f"{own}\nwith interrupts_say('interrupted'):\n    raise KeyboardInterrupt\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith(said) and done.stderr.count("\n") == 1
