"""The command line: `xbar`."""

from benchmarks.cli.app import main

__all__ = ["main"]
