"""Deletion of old versions, and of what interrupted trainings left."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass

from imdb_classifier.errors import ConfigurationError
from imdb_classifier.registry.training_runs import delete_interrupted
from imdb_classifier.registry.versions import Registry


@dataclass(frozen=True)
class Pruned:
    """What was deleted, the oldest first.

    Attributes:
        versions: The ids of versions; damaged ones count as the oldest.
        trainings: The names of interrupted trainings.
    """

    versions: list[str]
    trainings: list[str]


def prune(registry: Registry, keep: int, *, dry_run: bool = False) -> Pruned:
    """Delete old versions with their decisions and reports, and what interrupted trainings left.

    Versions that an alias points to and versions that await a promotion decision are never deleted,
    nor are trainings that are in progress.

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
    # Locked, so that no version becomes the champion while it is deleted.
    with nullcontext() if dry_run else registry.changing():
        manifests = registry.manifests()
        created = {manifest["model_id"]: manifest["created_at"] for manifest in manifests}
        versions = sorted(registry.ids(), key=lambda name: (created.get(name, ""), name))
        aliased = registry.aliases().values()
        pruned = [
            name
            for name in versions[: max(len(versions) - keep, 0)]
            if name not in aliased and not registry.is_undecided(name)
        ]
        if not dry_run:
            for name in pruned:
                registry.delete(name)
    return Pruned(pruned, delete_interrupted(registry.work, keep, dry_run=dry_run))
