"""Checks of the places that runs read and write: registry, output and temporary files."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from secrets import token_hex
from typing import Final

from imdb_classifier.diagnosis.checkup import NotApplicableError
from imdb_classifier.errors import BundleError, CannotWriteError, OutputInUseError, counted
from imdb_classifier.model.engines import EngineChoice
from imdb_classifier.registry.versions import Registry
from imdb_classifier.storage import Storage, is_remote, storage_of
from imdb_classifier.system_errors import cannot_write

LEAST_FREE_BYTES: Final = 1 << 28
"""Free space below which a run is likely to end early."""


def check_registry(registry: Registry) -> str:
    """Check that all versions of a registry are intact.

    Raises:
        UnavailableError: The registry cannot be reached.
        BundleError: A version is damaged.
    """
    _, damaged = registry.bundles()
    if damaged:
        raise BundleError(
            "Every version of a registry must be intact.",
            f"In {registry.root}, {counted(len(damaged), 'version')} cannot be loaded: "
            f"{'; '.join(damaged.values())}",
            "Restore the version's folder from a copy, or delete it.",
        )
    versions = counted(len(registry.ids()), "version")
    try:
        registry.check_writable()
    except CannotWriteError:
        return f"{registry.root}: {versions}; read-only, so nothing can be trained or promoted"
    return f"{registry.root}: {versions}; can be written"


def check_model(registry: Registry, model: str, engine: EngineChoice) -> str:
    """Check that a model can be used for scoring.

    Raises:
        ImdbClassifierError: It cannot, see `Scorer.load`.
    """
    bundle = registry.load(model, engine)
    registry.check_approved(bundle)
    return f"{bundle.model_id}: checksums and golden scores are right"


def check_output(output: str) -> str:
    """Check that an output can be written, replaced at once, and locked against other runs.

    Raises:
        CannotWriteError: It cannot.
        NotApplicableError: A run is writing to it.
    """
    storage, place = storage_of(output), f"{output.rstrip('/')}/.doctor-{token_hex(4)}"
    try:
        if is_remote(output):
            _check_replacing(storage, place)
            return f"{output}: objects can be written and deleted"
        with storage.lock(place):
            _check_replacing(storage, f"{place}/probe")
            _check_lock(storage, place)
    except OutputInUseError:
        raise NotApplicableError(f"{output}: another run is writing to it") from None
    except OSError as error:
        raise cannot_write(output, error) from error
    return f"{output}: files can be written and replaced at once, and locks exclude other runs"


def check_space(output: str) -> str:
    """Check that there is free space for outputs and temporary files.

    Raises:
        CannotWriteError: There is little.
    """
    places = {Path(tempfile.gettempdir())}
    if not is_remote(output):
        folders = (Path(output).absolute(), *Path(output).absolute().parents)
        places.add(next(folder for folder in folders if folder.is_dir()))
    free = {str(place): shutil.disk_usage(place).free for place in sorted(places)}
    shown = ", ".join(f"{size / 1e9:,.1f} GB in {place}" for place, size in free.items())
    if min(free.values()) < LEAST_FREE_BYTES:
        raise CannotWriteError(
            f"At least {LEAST_FREE_BYTES >> 20} MiB must be free.",
            f"Free: {shown}.",
            "Free up space, choose another `output`, or set TMPDIR for temporary files.",
        )
    return f"free: {shown}"


def _check_replacing(storage: Storage, probe: str) -> None:
    try:
        storage.write_text(probe, "before")
        storage.write_text(probe, "after")
        found = storage.read_text(probe)
    finally:
        storage.delete(probe)
    if found != "after":
        raise CannotWriteError(
            "A file that was replaced must have its new content.",
            f"{probe} still had the old one.",
            "Choose an `output` on another file system.",
        )


def _check_lock(storage: Storage, place: str) -> None:
    try:
        with storage.lock(place):
            pass
    except OutputInUseError:
        return
    raise CannotWriteError(
        "Locks must keep a second run from an output.",
        f"The file system of {place} grants the same lock twice.",
        "Mount it with locks (NFS: without nolock), choose another `output`, or make sure that "
        "only one run at a time writes to it.",
    )
