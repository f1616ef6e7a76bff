"""Reads as on a processor with AVX-512, on any: the tests of reads once more, in a process of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
TESTS = (
    "test_mvm.py::test_whole_levels_are_read_bit_for_bit_the_same_everywhere",
    "test_mvm.py::test_noise_in_vector_registers_is_the_same",
    "test_bit_serial.py::test_ends_of_what_sums_hold",
    "test_bit_serial.py::test_zero_and_nan_vectors",
)


@pytest.mark.slow
def test_reads_by_avx512_written_out_in_other_instructions(tmp_path: Path) -> None:
    """Wide blocks, products of bytes and of 16-bit numbers, sums that are looked up; compiled anew, since other
    processes must not find these kernels."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("NUMBA_", "PYTEST_"))}
    options = ["-q", "--noconftest", "-p", "no:cacheprovider", "-p", "tests.oracles.avx512_anywhere"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, *(str(HERE / test) for test in TESTS)],
        cwd=HERE.parents[2],
        env={**kept, "NUMBA_CACHE_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "6 passed" in done.stdout
