"""Folders of trainings that are in progress, or were interrupted."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from imdb_classifier.errors import CannotWriteError, OutputInUseError
from imdb_classifier.registry.access import writing
from imdb_classifier.storage import storage_of
from imdb_classifier.storage.paths import StrPath


@contextmanager
def training_run(work: StrPath, run: str) -> Iterator[None]:
    """Lock a training run until its model is registered, then delete its files.

    After an exception, the files are kept, and a rerun resumes from them. The lock excludes runs on
    this machine, and on others that share `work`; it ends with this process, even if it is killed.

    Args:
        work: The folder of all runs, see `Registry.work`; created if missing.
        run: The name of the run, see `TrainingPlan`.

    Raises:
        CannotWriteError: Another run of this name is in progress, or the folder cannot be written.
    """
    folder = Path(work) / run
    with ExitStack() as held:
        try:
            with writing(str(folder)):
                held.enter_context(storage_of(str(folder)).lock(str(folder)))
        except OutputInUseError:
            raise CannotWriteError(
                "The same reviews, recipe and seed can only be trained by one run at a time.",
                f"Another run is training {run}.",
                "Wait until it has finished; its result then counts for this one, too.",
            ) from None
        yield
        _delete_contents(folder)
    with suppress(OSError):  # gone already, or in use again
        folder.rmdir()


def delete_interrupted(work: Path, keep: int, *, dry_run: bool = False) -> list[str]:
    """Delete what interrupted trainings left, except the newest of them.

    Args:
        work: The folder of all runs, see `Registry.work`.
        keep: How many of the newest runs to keep; others that are in progress are kept besides.
        dry_run: Only return what would be deleted.

    Returns:
        The names of the deleted runs, the oldest first.

    Raises:
        CannotWriteError: The folder cannot be written.
    """
    runs = sorted(filter(Path.is_dir, work.glob("*")), key=_last_written)
    deleted = []
    for folder in runs[: max(len(runs) - keep, 0)]:
        try:
            with writing(str(work)), storage_of(str(folder)).lock(str(folder)):
                if not dry_run:
                    _delete_contents(folder)
        except OutputInUseError:
            continue  # in progress
        if not dry_run:
            with suppress(OSError):  # in use again
                folder.rmdir()
        deleted.append(folder.name)
    return deleted


def _last_written(folder: Path) -> int:
    try:
        return max(
            (file.stat().st_mtime_ns for file in folder.rglob("*") if file.is_file()), default=0
        )
    except FileNotFoundError:  # deleted meanwhile, because its training has just finished
        return time.time_ns()


def _delete_contents(folder: Path) -> None:
    """Delete the folders of a run, but not its lock, which other runs look for."""
    for part in filter(Path.is_dir, folder.iterdir()):
        shutil.rmtree(part, ignore_errors=True)
