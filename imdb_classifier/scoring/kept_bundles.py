"""Bundles that this process keeps, so that each is loaded once however often it is asked for."""

from __future__ import annotations

from functools import lru_cache

from imdb_classifier.errors import BundleError
from imdb_classifier.model.bundle import Bundle, load_bundle


@lru_cache(maxsize=1)
def kept_bundle(location: str, model_hash: str) -> Bundle:
    """Load the bundle of a model, unless this process holds it already.

    Args:
        location: Its folder, on this machine or in an object store.
        model_hash: The model that it must still contain.

    Raises:
        BundleError: It is damaged, or contains another model.
        OSError: The location cannot be reached.
    """
    bundle = load_bundle(location)
    if bundle.model_hash != model_hash:
        raise BundleError(
            "All processes must use the same model.",
            f"{location} changed from {model_hash[:12]} to {bundle.model_hash[:12]}.",
            "Rerun to score with the new model.",
        )
    return bundle
