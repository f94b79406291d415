"""Versions of trained models, their aliases and decisions, in a local folder or an object store.

Each ``versions/<model id>/`` is a bundle that is written once. The aliases ``champion`` (scores by
default), ``challenger`` (trained last) and ``previous`` (champion before) are small files that
contain the id of a version; each is replaced atomically. Until a model is promoted, the champion is
the model bundled with the package. It is copied to the registry as soon as an alias has to point to
it, because a later release may bundle another model. The decision on a version is stored next to
it, in ``versions/<model id>.decision.json``.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Set
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from imdb_classifier.errors import (
    BundleError,
    CannotWriteError,
    ConfigurationError,
    NoInputError,
    UnapprovedModelError,
    UnknownModelError,
    printable,
)
from imdb_classifier.model.bundle import (
    CARD_FILE,
    EVALUATION_FILE,
    SUMS_FILE,
    Bundle,
    load_bundle,
    manifest_of,
)
from imdb_classifier.model.bundle_writer import with_evaluation
from imdb_classifier.model.engines import EngineChoice
from imdb_classifier.registry.access import (
    CHAMPION,
    REGISTRY_VARIABLE,
    ChampionChangedError,
    reading,
    writing,
)
from imdb_classifier.registry.records import ALIASES, Records
from imdb_classifier.storage import is_remote, storage_of
from imdb_classifier.storage.paths import StrPath, location_of, user_folder
from imdb_classifier.version import __version__

logger = logging.getLogger(__name__)


def bundled_path() -> Path:
    """Return the folder of the model that comes with the package."""
    return Path(str(files("imdb_classifier") / "pretrained"))


def _bundled_id() -> str:
    """Return the id of the model that comes with the package, without loading the model."""
    try:
        return str(manifest_of(bundled_path().as_posix())["model_id"])
    except (OSError, ValueError, LookupError, TypeError):
        return load_bundle(bundled_path()).model_id  # which says what is wrong with it


@dataclass(frozen=True)
class Registry(Records):
    """A folder of versions and aliases; it does not have to exist to be read.

    Attributes:
        root: The folder, as a location.

    Example:
        >>> from imdb_classifier import Registry
        >>> registry = Registry.at("models")
        >>> registry.ids()
        []
        >>> registry.load("@champion").recipe.name  # the bundled model, until another is promoted
        'production'
    """

    @classmethod
    def at(cls, root: StrPath | None = None) -> Registry:
        """Return the registry in a folder.

        Args:
            root: The folder. Default: IMDB_CLASSIFIER_REGISTRY, else a folder in the home
                directory.
        """
        chosen = root or os.environ.get(REGISTRY_VARIABLE)
        chosen = chosen or f"{user_folder('data')}/registry"
        return cls(location_of(chosen).rstrip("/"))

    @property
    def work(self) -> Path:
        """The local folder in which models are trained before they are registered."""
        if is_remote(self.root):
            return Path(user_folder("cache"), "work")
        return Path(self.root) / "work"

    def report_folder(self, model_id: str, fingerprint: str) -> str:
        """Return the folder for the report on a model's evaluation.

        Args:
            model_id: The model.
            fingerprint: That of the reviews, so that other reviews get another folder.
        """
        return f"{self.root}/reports/{model_id}/{fingerprint[:12]}"

    def ids(self) -> list[str]:
        """Return the ids of all versions, sorted; not the bundled model's, unless it was copied.

        Raises:
            UnavailableError: The registry cannot be reached.
        """
        storage, versions = storage_of(self.root), f"{self.root}/versions"
        with reading(self.root):
            if storage.kind(versions) is None:
                return []
            parts = [name.split("/") for name in storage.find(versions).names]
        return sorted(name for name, *file in parts if file == [SUMS_FILE] and name[0] != ".")

    def manifests(self) -> list[dict[str, Any]]:
        """Return the manifests of all versions and the bundled model.

        Faster than `bundles`, which checks all files. Damaged manifests are skipped and logged.

        Raises:
            UnavailableError: The registry cannot be reached.
        """
        found = []
        for folder in (*map(self._version, self.ids()), bundled_path().as_posix()):
            with reading(folder):
                try:
                    manifest = manifest_of(folder)
                except (FileNotFoundError, ValueError, RecursionError):
                    manifest = None
            if isinstance(manifest, dict) and {"model_id", "created_at"} <= manifest.keys():
                found.append(manifest)
            else:
                logger.warning("%s is skipped: its manifest is damaged", folder)
        return found

    def champion_id(self) -> str:
        """Return the id of the champion, also if its version is damaged or missing.

        Raises:
            UnavailableError: The registry cannot be reached.
        """
        return self.aliases().get("champion") or _bundled_id()

    def aliases_of(self, model_id: str) -> list[str]:
        """Return the aliases that point to a version or to the bundled model."""
        aliases = {"champion": self.champion_id(), **self.aliases()}
        return [alias for alias in ALIASES if aliases.get(alias) == model_id]

    def bundles(self) -> tuple[list[Bundle], dict[str, str]]:
        """Load every version, then the bundled model if it is not one of them.

        Returns:
            The intact models; and for each damaged version, its id with what is wrong.

        Raises:
            UnavailableError: The registry cannot be reached.
        """
        intact, damaged = [], {}
        for name in self.ids():
            with reading(self._version(name)):
                try:
                    intact.append(load_bundle(self._version(name)))
                except (BundleError, FileNotFoundError) as error:
                    damaged[name] = printable(str(error))
        bundled = load_bundle(bundled_path())
        if bundled.model_id not in {bundle.model_id for bundle in intact}:
            intact.append(bundled)
        return intact, damaged

    def load(self, reference: StrPath, engine: EngineChoice = "auto") -> Bundle:
        """Load the model that a reference names.

        Args:
            reference: ``@champion``, ``@challenger`` or ``@previous``; a version's id; or the path
                of a bundle, local or in an object store.
            engine: What runs the network, see `load_bundle`.

        Raises:
            UnknownModelError: There is no such model.
            BundleError: The model is damaged, or an alias names a version that is missing.
            UnavailableError: The registry or the bundle cannot be reached.
        """
        location = self.locate(reference)
        with reading(self.root):
            return load_bundle(location, engine)

    def locate(self, reference: StrPath) -> str:
        """Return the location of the bundle that a reference names, see `load`.

        Raises:
            UnknownModelError: There is no such model.
            BundleError: An alias names a version that is missing.
            UnavailableError: The registry or the bundle cannot be reached.
        """
        name = location_of(reference)
        aliases, ids = self.aliases(), self.ids()
        if name == CHAMPION and "champion" not in aliases:
            return bundled_path().as_posix()
        model_id = aliases.get(name[1:], name) if name.startswith("@") else name
        location = self._version(model_id) if model_id in ids else name
        with reading(self.root):
            if not location.startswith("@") and storage_of(location).kind(location) == "folder":
                return location
        bundled_id = _bundled_id()
        if model_id == bundled_id:
            return bundled_path().as_posix()
        if model_id != name:
            raise BundleError(
                "An alias must name a version of the registry.",
                f"{name} names '{model_id}', which {self.root} does not have.",
                "Restore it, or promote another version with `imdb-classifier models promote`.",
            )
        known = [CHAMPION, *(f"@{alias}" for alias in aliases if alias != "champion"), *ids]
        raise UnknownModelError(os.fspath(reference), [*known, bundled_id])

    def check_version(self, bundle: Bundle) -> None:
        """Check that a model can be promoted.

        Raises:
            ConfigurationError: The model is neither a version of this registry nor the bundled one.
        """
        if bundle.location not in (self._version(bundle.model_id), bundled_path().as_posix()):
            raise ConfigurationError(
                "Only a version of the registry can be promoted.",
                f"{bundle.location} is outside {self.root}.",
                "Name a version that `imdb-classifier train` has registered.",
            )

    def check_approved(self, bundle: Bundle) -> None:
        """Check that a version has passed the promotion checks, or is ``champion`` or ``previous``.

        The bundled model and bundles outside this registry are always accepted.

        Raises:
            UnapprovedModelError: The version has not passed the promotion checks.
            BadDataError: The decision on it is damaged.
        """
        aliases = self.aliases()
        if (
            bundle.location == self._version(bundle.model_id)
            and bundle.model_id not in (aliases.get("champion"), aliases.get("previous"))
            and not (self.decision(bundle.model_id) or {}).get("promote")
            and bundle.model_id != _bundled_id()
        ):
            raise UnapprovedModelError(bundle.model_id)

    def check_champion(self, expected: str) -> None:
        """Check that a model is still the champion.

        Raises:
            ChampionChangedError: Another one is.
        """
        champion = self.champion_id()
        if champion != expected:
            raise ChampionChangedError(expected, champion)

    def is_undecided(self, model_id: str) -> bool:
        """Return whether a version awaits a decision on its promotion, or has a damaged one."""
        aliases = self.aliases()
        return (
            model_id in self.ids()
            and model_id not in (aliases.get("champion"), aliases.get("previous"))
            and not self.is_decided(model_id)
        )

    def register(self, bundle: Bundle, evaluation: str, card: str) -> Bundle:
        """Store a model as a version and make it the challenger.

        An existing version is not written again, because the id is derived from the content, unless
        it is damaged.

        Args:
            bundle: The model.
            evaluation: The text of its ``evaluation.json``.
            card: The text of its model card.

        Raises:
            CannotWriteError: The registry cannot be written.
        """
        target = self._version(bundle.model_id)
        try:
            version = self.load(target)
        except (BundleError, UnknownModelError):
            self._delete_bundle(bundle.model_id)
            version = with_evaluation(bundle, evaluation, card, target)
        self._point("challenger", bundle.model_id)
        return version

    def delete(self, model_id: str) -> None:
        """Delete a version with its decision and reports.

        Raises:
            CannotWriteError: The registry cannot be written.
        """
        storage = storage_of(self.root)
        with writing(self.root):
            storage.delete_folder(f"{self.root}/reports/{model_id}")
            self._delete_bundle(model_id)
            storage.delete(self.decision_file(model_id))
            storage.delete(self._rollback_file(model_id))

    def promote(
        self, reference: StrPath, *, champion: str | None = None, previous: str | None = None
    ) -> str:
        """Make a model the champion, and the former champion ``previous``.

        Args:
            reference: A version or the bundled model, as in `load`.
            champion: The id of the champion that may be replaced; by default whichever it is.
            previous: The id of the model that becomes ``previous`` instead of the champion,
                because that is damaged.

        Returns:
            The id of the new champion.

        Raises:
            ChampionChangedError: Another run has changed the champion; nothing is promoted.
            UnknownModelError: There is no such model.
            BundleError: The model is damaged.
            ConfigurationError: The model is neither a version of this registry nor the bundled one.
            CannotWriteError: The registry cannot be written.
        """
        with self.changing():
            promoted = self.load(reference)
            self.check_version(promoted)
            # Not loaded: a champion that is damaged or missing can still be replaced.
            former = self.champion_id()
            self.check_champion(champion or former)
            if former != promoted.model_id:
                former = previous or former
                self._keep_bundled({former, promoted.model_id})
                if former in self.ids() and not self.is_decided(former):
                    # Its own promotion was interrupted before the decision was stored.
                    self.record(former, {"promote": True, "reason": "It was the champion."})
                # In this order, an interruption in between leaves the old champion in place.
                self._point("previous", former)
                self._point("champion", promoted.model_id)
        return promoted.model_id

    def roll_back(self, requested_by: Mapping[str, str] | None = None) -> tuple[str, str]:
        """Make ``previous`` the champion, without checks, and store ``<model id>.rollback.json``.

        Args:
            requested_by: Who asked for it, see `record`.

        Returns:
            The ids of the new champion, and of the one that it replaced.

        Raises:
            UnknownModelError: No model has been promoted yet.
            NoInputError: The champion is the previous one, too, as a promotion was interrupted.
            BundleError: The previous champion is damaged.
            ChampionChangedError: Another run has changed the champion meanwhile; nothing is done.
            CannotWriteError: The registry cannot be written.
        """
        replaced = self.champion_id()
        # By its id, so that it does not become another one while this run waits.
        previous = self.load("@previous").model_id
        if previous == replaced:
            raise NoInputError(
                "A rollback needs a previous champion.",
                f"{replaced} is both champion and previous, because a promotion was interrupted.",
                "Choose a version from `imdb-classifier models list`, and promote it by its id.",
            )
        champion = self.promote(previous, champion=replaced)
        try:
            self._record_rollback(champion, replaced, requested_by)
        except CannotWriteError as error:
            # The rollback stands; a second one would undo it.
            logger.warning("the rollback to %s could not be recorded: %s", champion, error)
        return champion, replaced

    def _keep_bundled(self, model_ids: Set[str]) -> None:
        """Copy the bundled model to the registry if it is one of these."""
        if _bundled_id() in model_ids - set(self.ids()):
            bundled = load_bundle(bundled_path())
            evaluation, card = (
                (bundled.path / name).read_text("utf-8") for name in (EVALUATION_FILE, CARD_FILE)
            )
            with_evaluation(bundled, evaluation, card, self._version(bundled.model_id))
            reason = f"Bundled with imdb-classifier {__version__}."
            self.record(bundled.model_id, {"promote": True, "reason": reason})

    def _delete_bundle(self, model_id: str) -> None:
        """Delete the bundle of a version, or what is left of it, if it exists."""
        storage, version = storage_of(self.root), self._version(model_id)
        with writing(self.root):
            # First, because a version without its checksums does not exist.
            storage.delete(f"{version}/{SUMS_FILE}")
            storage.delete_folder(version)
