"""Deletion of old versions, and of what killed runs left."""

from __future__ import annotations

import re
import time
from collections import defaultdict
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Final

from imdb_classifier.errors import ConfigurationError
from imdb_classifier.registry.access import reading, writing
from imdb_classifier.registry.training_runs import delete_interrupted
from imdb_classifier.registry.versions import Registry
from imdb_classifier.storage import storage_of

_WRITTEN_BY_US: Final = re.compile(
    r"\.?(?P<id>.+-[0-9a-f]{12})(\.(decision|rollback)\.json)?"
    r"(?P<unfinished>\.[0-9a-f]+\.unfinished)?"
)
_DAY_NS: Final = 24 * 60 * 60 * 10**9


@dataclass(frozen=True)
class Pruned:
    """What was deleted, the oldest versions and trainings first.

    Attributes:
        versions: The ids of versions; those with a damaged manifest count as the oldest.
        trainings: The names of interrupted trainings.
        leftovers: The names of incomplete versions, and of records of versions that are gone.
    """

    versions: list[str]
    trainings: list[str]
    leftovers: list[str]


def prune(registry: Registry, keep: int, *, dry_run: bool = False) -> Pruned:
    """Delete old versions with their decisions and reports, and what killed runs left.

    Versions that an alias points to and versions that await a promotion decision are never deleted,
    unless the manifest of the latter is damaged, nor are trainings that are in progress. Incomplete
    versions are deleted after a day.

    Args:
        registry: The registry.
        keep: How many of the newest versions, and of the newest interrupted trainings on this
            machine, to keep, at least 0; those that are never deleted are kept besides.
        dry_run: Only return what would be deleted.

    Raises:
        ConfigurationError: ``keep`` is negative.
        UnavailableError: The registry cannot be reached.
        CannotWriteError: The registry cannot be written, or another run holds its lock.
    """
    if keep < 0:
        raise ConfigurationError(
            "The number of versions to keep must be at least 0.",
            f"It is {keep}.",
            "Choose another `keep`.",
        )
    pruned = []
    # Locked, so that no version becomes the champion while it is deleted.
    with nullcontext() if dry_run else registry.changing():
        # Before their manifests, so that one that is just being registered is not called damaged.
        names = registry.ids()
        manifests = registry.manifests()
        created = {manifest["model_id"]: manifest["created_at"] for manifest in manifests}
        versions = sorted(names, key=lambda name: (created.get(name, ""), name))
        for name in versions[: max(len(versions) - keep, 0)]:
            # Nothing can be decided without a manifest. Aliases are asked for just before it goes,
            # because object stores have no locks.
            undecided = name in created and registry.is_undecided(name)
            if not undecided and name not in registry.aliases().values():
                if not dry_run:
                    registry.delete(name)
                pruned.append(name)
        leftovers = _delete_leftovers(registry, dry_run=dry_run)
    return Pruned(pruned, delete_interrupted(registry.work, keep, dry_run=dry_run), leftovers)


def _delete_leftovers(registry: Registry, *, dry_run: bool) -> list[str]:
    """Delete incomplete versions, and records of versions that are gone.

    They stay for a day, because another run may be writing them.

    Returns:
        Their names, sorted.
    """
    storage, versions = storage_of(registry.root), f"{registry.root}/versions"
    known = {*registry.ids(), *registry.aliases().values()}
    entries: dict[str, list[str]] = defaultdict(list)
    with reading(registry.root):
        if storage.kind(versions) == "folder":
            listing = storage.find(versions)
            for path in (*listing.names, *listing.folders):
                entries[path.partition("/")[0]].append(f"{versions}/{path}")
        yesterday = time.time_ns() - _DAY_NS
        leftovers = sorted(
            name
            for name, paths in entries.items()
            if (ours := _WRITTEN_BY_US.fullmatch(name))
            and (ours["unfinished"] or ours["id"] not in known)
            and max(map(storage.last_written, paths)) < yesterday
        )
    with writing(registry.root):
        for name in () if dry_run else leftovers:
            path = f"{versions}/{name}"
            is_folder = storage.kind(path) == "folder"
            (storage.delete_folder if is_folder else storage.delete)(path)
    return leftovers
