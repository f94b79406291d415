"""Locks on outputs of this machine, and the temporary files that they cover.

A run locks its output first and looks for locks around and inside it then. Of two runs whose
outputs overlap, at least one therefore sees the other, whichever started first.
"""

from __future__ import annotations

import os
import platform
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from typing import Final

from filelock import FileLock, Timeout, lock_descriptor

from imdb_classifier.errors import OutputInUseError
from imdb_classifier.storage.paths import stem_of

_LOCK: Final = ".imdb_classifier.lock"
"""The name of a folder's lock, which lies in it, and the end of that of a file, beside it."""

_UNFINISHED: Final = re.compile(r"\.(.+)\.[0-9a-f]{8}\.unfinished", re.DOTALL)

_ATTEMPTS: Final = 100
_LOOKS: Final = 5
_PAUSE_SECONDS: Final = 0.05
_LONGEST_HOLDER: Final = 200
"""Bytes that are read of a lock: it may be a file of anyone's."""


def unfinished_name(name: str) -> str:
    """Return the name of a new temporary file for a file."""
    return f".{_stem(name)}.{token_hex(4)}.unfinished"


@contextmanager
def lock_folder(output: str) -> Iterator[None]:
    """Lock a folder with all that is in it, and delete what interrupted runs left there.

    Raises:
        OutputInUseError: Another run is writing to it, around it or inside it.
    """
    with _only_one(output, output, "") as root:
        before, leftovers = set(), []
        for parent, _, names in os.walk(root, onerror=_skip_unreadable):
            before.add(parent)
            for name in names:
                if _UNFINISHED.fullmatch(name):
                    leftovers.append(os.path.join(parent, name))
                elif name.endswith(_LOCK) and (parent, name) != (root, _LOCK):
                    # A killed run left it, or a run that ends takes it away, with its folder.
                    left = os.path.join(parent, name)
                    with suppress(FileNotFoundError), _held(left, output, _locked_by(parent, name)):
                        pass
        _remove(leftovers)
        try:
            yield
        finally:
            # Workers on other machines that wrote for this run may have died.
            for parent, _, names in os.walk(root, topdown=False, onerror=_skip_unreadable):
                _remove(os.path.join(parent, name) for name in names if _UNFINISHED.fullmatch(name))
                if parent not in before:
                    _remove_if_empty(parent)


@contextmanager
def lock_file(output: str, side_files: Sequence[str]) -> Iterator[None]:
    """Lock a file, and delete what interrupted runs left of it and of its side files.

    Raises:
        OutputInUseError: Another run is writing to it, or to a folder around it.
    """
    folder, name = os.path.split(output)
    with _only_one(output, folder, name):
        _remove(_leftovers_of([output, *side_files]))
        try:
            yield
        finally:
            _remove(_leftovers_of([output, *side_files]))


@contextmanager
def _only_one(output: str, folder: str, name: str) -> Iterator[str]:
    """Lock a file in a folder or, without a name, the folder, and provide the folder's real path.

    The folder is made for the time of the lock, and stays if something is written there.
    """
    folder = folder or "."
    made: list[str] = []
    try:
        with ExitStack() as held:
            for attempts_left in reversed(range(_ATTEMPTS)):
                try:
                    paths = (Path(folder), *Path(folder).parents)
                    made = [str(path) for path in paths if not path.is_dir()]
                    os.makedirs(folder, exist_ok=True)
                    root = os.path.realpath(folder)
                    lock = os.path.join(root, f".{_stem(name)}{_LOCK}" if name else _LOCK)
                    held.enter_context(_held(lock, output, output))
                    break
                except (FileExistsError, FileNotFoundError):
                    # Another run that made the folder may just have removed it again.
                    if not attempts_left:
                        raise
            for place in (*([root] if name else []), *map(str, Path(root).parents)):
                around = os.path.join(place, _LOCK)
                if _is_held(around):
                    raise OutputInUseError(output, place, _holder(around))
            yield root
    finally:
        for path in made:
            _remove_if_empty(path)


@contextmanager
def _held(lock: str, output: str, place: str) -> Iterator[None]:
    """Hold a lock, which is released when this process ends, even if it is killed.

    Raises:
        OutputInUseError: Another run, which writes to a place, holds it.
    """
    try:
        # Without flock, filelock would fall back to a lock that outlives a killed process. The mode
        # lets every user see whether it is held, and take one that a killed run left behind.
        held = FileLock(
            lock, timeout=0, mode=0o666, thread_local=False, fallback_to_soft=False
        ).acquire()
    except Timeout:
        raise OutputInUseError(output, place, _holder(lock)) from None
    with held:
        try:
            _sign(lock)
            yield
        finally:
            # Deleted while it is held, because filelock does not accept a lock on a deleted file.
            # Windows refuses that, and filelock deletes it there once it is released.
            with suppress(FileNotFoundError, PermissionError):
                os.unlink(lock)


def _sign(lock: str) -> None:
    """Write into a lock who holds it, for those who come later; without that, it locks as well."""
    # Looking up the name of a user id may ask a server of the network.
    user_id = getattr(os, "getuid", lambda: "unknown")()
    user = os.environ.get("LOGNAME") or os.environ.get("USERNAME") or user_id
    holder = f"process {os.getpid()} of user {user} on {platform.node()}"
    # Windows refuses to write to a file that is locked.
    with suppress(OSError):
        file = os.open(lock, os.O_WRONLY | getattr(os, "O_NOFOLLOW", 0))
        try:
            # Whoever may write to the folder can put a hard link to one of our files there.
            if os.fstat(file).st_nlink == 1:
                os.ftruncate(file, 0)
                os.write(file, holder.encode(errors="replace"))
        finally:
            os.close(file)


def _holder(lock: str) -> str | None:
    """Return who holds a lock, if that is written in it."""
    try:
        file = os.open(lock, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        try:
            return os.read(file, _LONGEST_HOLDER).decode(errors="replace") or None
        finally:
            os.close(file)
    except OSError:
        return None


def _is_held(lock: str) -> bool:
    """Return whether a run holds a lock, without taking it: it may lie in a read-only folder."""
    try:
        file = os.open(lock, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    except (FileNotFoundError, PermissionError):  # The folder may be closed to us.
        return False
    try:
        return not _is_free(file)
    finally:
        os.close(file)


def _is_free(file: int) -> bool:
    try:
        import fcntl
    except ModuleNotFoundError:
        # Windows has no shared locks without ctypes: runs that look at the same moment see each
        # other, so look again.
        for _ in range(_LOOKS):
            if lock_descriptor(file, blocking=False):
                return True
            time.sleep(_PAUSE_SECONDS)
        return False
    try:
        # Shared, so that runs that look at the same time do not see each other.
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True


def _locked_by(folder: str, lock: str) -> str:
    """Return the output that a lock in a folder covers."""
    return os.path.join(folder, lock.removesuffix(_LOCK)[1:]).rstrip("/")


def _stem(name: str) -> str:
    """Return what stands for a file's name in those of its lock and of its temporary files."""
    # Those of temporary files are shorter.
    return stem_of(name, ".", _LOCK)


def _leftovers_of(files: Iterable[str]) -> Iterator[str]:
    stems = {(folder, _stem(name)) for folder, name in map(os.path.split, files)}
    for folder in {folder for folder, _ in stems}:
        with suppress(FileNotFoundError):
            for name in os.listdir(folder or "."):
                found = _UNFINISHED.fullmatch(name)
                if found and (folder, found[1]) in stems:
                    yield os.path.join(folder, name)


def _remove(files: Iterable[str]) -> None:
    for file in files:
        with suppress(FileNotFoundError):
            os.unlink(file)


def _remove_if_empty(folder: str) -> None:
    with suppress(OSError):
        os.rmdir(folder)


def _skip_unreadable(error: OSError) -> None:
    """Skip folders that are closed to us, such as a disk's ``lost+found``, and deleted ones."""
    if not isinstance(error, FileNotFoundError | PermissionError):
        raise error
