"""The command line: `xbar`."""

from __future__ import annotations

from benchmarks.cli.app import main

__all__ = ["main"]
