"""Temporary folders, deleted by others if the process that made them was killed."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from errno import EDQUOT, ENOSPC
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

from imdb_classifier.errors import CannotWriteError

_PREFIX: Final = "imdb-classifier-"
_LOCK: Final = ".lock"
_CONTENT: Final = "files"
_ATTEMPTS: Final = 10


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Provide an empty folder that is deleted in the end, and delete those of killed processes.

    A lock says that a folder is in use. Unlike the id of its process, it counts in every container
    that shares the folder of temporary files.

    Raises:
        CannotWriteError: No folder for temporary files can be written.
    """
    _delete_abandoned(_root())
    with ExitStack() as held:
        content = _locked_folder(held) / _CONTENT
        with space_needed():
            content.mkdir()
        yield content


@contextmanager
def space_needed() -> Iterator[None]:
    """Say that it is the folder of temporary files that is full, and not an input or output.

    Raises:
        CannotWriteError: It is.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in (ENOSPC, EDQUOT):
            raise
        full = CannotWriteError(
            "Temporary files need space.",
            f"Writing to {tempfile.gettempdir()} failed: {os.strerror(error.errno)}.",
            "Free up space there, or set TMPDIR to another folder.",
        )
        full.may_pass = True
        raise full from error


def _root() -> Path:
    try:
        return Path(tempfile.gettempdir())
    except FileNotFoundError as error:
        raise CannotWriteError(
            "Temporary files need a folder.",
            f"{error.strerror}.",
            "Set TMPDIR to a folder that can be written.",
        ) from error


def _locked_folder(held: ExitStack) -> Path:
    for attempts_left in reversed(range(_ATTEMPTS)):
        with space_needed():
            made = held.enter_context(
                # A process that looks for abandoned folders may put the lock back; it then deletes
                # the folder itself.
                tempfile.TemporaryDirectory(prefix=_PREFIX, ignore_cleanup_errors=True)
            )
            try:
                held.enter_context(_lock(Path(made) / _LOCK))
                break
            except (FileNotFoundError, Timeout):
                # Another process takes it for abandoned, because it was not locked yet.
                if not attempts_left:
                    raise
    return Path(made)


def _delete_abandoned(root: Path) -> None:
    for lock in root.glob(f"{_PREFIX}*/{_LOCK}"):
        with suppress(OSError):  # in use, another user's, or deleted meanwhile
            with _lock(lock):
                shutil.rmtree(lock.parent, ignore_errors=True)
            # On Windows, the lock could not be deleted while it was held.
            shutil.rmtree(lock.parent, ignore_errors=True)


def _lock(file: Path) -> FileLock:
    # Without flock, filelock would fall back to a lock that outlives a killed process.
    return FileLock(file, timeout=0, thread_local=False, fallback_to_soft=False)
