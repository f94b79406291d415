"""Deletion of old versions."""

from __future__ import annotations

from contextlib import nullcontext

from imdb_classifier.errors import ConfigurationError
from imdb_classifier.registry.versions import Registry


def prune(registry: Registry, keep: int, *, dry_run: bool = False) -> list[str]:
    """Delete old versions with their decisions and reports.

    Versions that an alias points to and versions that await a promotion decision are never deleted.

    Args:
        registry: The registry.
        keep: How many of the newest versions to keep, at least 0; others that are never deleted
            are kept besides.
        dry_run: Only return what would be deleted.

    Returns:
        The ids of the deleted versions, the oldest first; damaged versions count as the oldest.

    Raises:
        ConfigurationError: ``keep`` is negative.
        UnavailableError: The registry cannot be reached.
        CannotWriteError: The registry cannot be written, or another run is changing it.
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
    return pruned
