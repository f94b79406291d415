"""Bundles that this process keeps, so that each is loaded once however often it is asked for."""

from __future__ import annotations

from functools import lru_cache

from imdb_classifier.errors import BundleError
from imdb_classifier.model.bundle import Bundle, load_bundle, manifest_of
from imdb_classifier.model.engines import EngineChoice


def bundle_at(location: str) -> Bundle:
    """Load the bundle at a location, unless this process holds the model that is there now.

    Args:
        location: Its folder, on this machine or in an object store.

    Raises:
        BundleError: It is damaged.
        OSError: The location cannot be reached.
    """
    try:
        model_hash = str(manifest_of(location)["model_hash"])
    except (OSError, LookupError, ValueError):
        return load_bundle(location)  # which says what is wrong
    return kept_bundle(location, model_hash)


def release_model() -> None:
    """Let go of the model that this process keeps in memory.

    `score_dataframe` keeps the model that it used last, so that the next call does not load it.

    Example:
        >>> from imdb_classifier import release_model, score_dataframe
        >>> scored = score_dataframe(["A warm and funny film."])
        >>> release_model()
    """
    kept_bundle.cache_clear()


@lru_cache(maxsize=1)
def kept_bundle(location: str, model_hash: str, engine: EngineChoice = "auto") -> Bundle:
    """Load the bundle of a model, unless this process holds it already.

    Args:
        location: Its folder, on this machine or in an object store.
        model_hash: The model that it must still contain.
        engine: What runs the network, see `load_bundle`.

    Raises:
        BundleError: It is damaged, or contains another model.
        OSError: The location cannot be reached.
    """
    bundle = load_bundle(location, engine)
    if bundle.model_hash != model_hash:
        raise BundleError(
            "All processes must use the same model.",
            f"{location} changed from {model_hash[:12]} to {bundle.model_hash[:12]}.",
            "Rerun to score with the new model.",
        )
    return bundle
