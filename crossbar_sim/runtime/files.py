"""Files appear whole or not at all: written under a temporary name in the same folder, then renamed."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from crossbar_sim.spec.errors import CrossbarError, FileError


def check_folder(folder: Path) -> None:
    """FileError for a folder that cannot be made or written; asked before the work whose result goes there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):  # without a name where the system can: a kill leaves nothing
            pass
    except (OSError, ValueError) as error:
        raise _unwritable(folder, error) from None


def check_file(path: Path) -> None:
    """FileError for a file that cannot be written; asked before the work whose result goes there."""
    if path.is_dir():
        raise FileError(f"{path} is a folder; give the path of a file")
    check_folder(path.parent)


def _unwritable(path: Path, error: Exception) -> FileError:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return FileError(f"{path} cannot be written ({reason}); give a path where you may write, on a disk with space")


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically; makes its folder."""
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file atomically; makes its folder. FileError where the machine does not let it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:100]}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
            os.chmod(temporary, 0o644)
            os.replace(temporary, path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except (OSError, ValueError) as error:
        raise _unwritable(path, error) from None


def write_json(path: Path, content: Any) -> None:
    """Write JSON atomically; NaN and infinity are refused."""
    try:
        text = json.dumps(content, indent=1, allow_nan=False)
    except ValueError as error:
        raise CrossbarError(f"{path}: JSON has no NaN or infinity ({error}); nothing was written") from None
    write_text(path, text + "\n")
