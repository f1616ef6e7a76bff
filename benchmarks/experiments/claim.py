"""Claims: of all commands that share a folder of results, one simulates a seed."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from crossbar_sim.runtime.files import check_folder
from crossbar_sim.spec.errors import FileError


@contextmanager
def claim(path: Path, *, wait: bool) -> Iterator[bool]:
    """Whether the file at `path` is this process's to write, until the end of the block; its folder is made.

    The claim is a lock on the hidden file `.<name>.claim` beside it: the system drops it when its process ends, however
    that ends, so no claim outlives its owner, and whoever has it removes what a killed owner left of its writing.
    `wait`: until it is free; else False where another process holds it. FileError for a folder that cannot be written.
    A file system without locks grants every claim: work may then be done twice, with the same result.
    """
    check_folder(path.parent)
    name = path.parent / f".{path.name}.claim"
    while True:
        handle = os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                yield False
                return
            except OSError as error:
                if error.errno not in (errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK):
                    raise
            else:
                if not is_at(name, handle):
                    continue  # its owner has removed it, so the lock says nothing
                for begun in hidden_beside(path):
                    if begun != name:
                        begun.unlink(missing_ok=True)
            try:
                yield True
            finally:
                name.unlink(missing_ok=True)
            return
        finally:
            os.close(handle)


def sweep(folder: Path) -> None:
    """Remove the hidden files that killed processes left in a folder of results, claims and files that they were
    writing; none of a process that lives. In a folder that cannot be written they stay."""
    for name in {left.name[1:].rpartition(".")[0] for left in folder.glob(".*.*") if left.is_file()}:
        with suppress(FileError), claim(folder / name, wait=False):
            pass


def hidden_beside(path: Path) -> list[Path]:
    """The claim of a file, and what was being written to become it: `.<name>.<letters>`."""
    return [found for found in path.parent.glob(".*.*") if found.name[1:].rpartition(".")[0] == path.name]


def is_at(name: Path, handle: int) -> bool:
    """Whether the open file is still the one of this name."""
    try:
        return os.path.samestat(os.stat(name), os.fstat(handle))
    except FileNotFoundError:
        return False
