"""Versions of trained models, their aliases and decisions, in a local folder or an object store.

Each ``versions/<model id>/`` is a bundle that is written once. The aliases ``champion`` (scores by
default), ``challenger`` (trained last) and ``previous`` (champion before) are small files that
contain the id of a version; each is replaced atomically. Until a model is promoted, the champion is
the model bundled with the package. It is copied to the registry as soon as an alias has to point to
it, because a later release may bundle another model. The decision on a version is stored next to
it, in ``versions/<model id>.decision.json``.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping, Set
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, Literal

import platformdirs

from imdb_classifier.errors import (
    BundleError,
    ConfigurationError,
    UnapprovedModelError,
    UnknownModelError,
    printable,
)
from imdb_classifier.model.bundle import (
    CARD_FILE,
    EVALUATION_FILE,
    MANIFEST_FILE,
    SUMS_FILE,
    Bundle,
    load_bundle,
)
from imdb_classifier.model.bundle_writer import with_evaluation
from imdb_classifier.registry.access import REGISTRY_VARIABLE, reading, writing
from imdb_classifier.registry.records import stamped
from imdb_classifier.storage import is_remote, storage_of
from imdb_classifier.storage.files import to_json
from imdb_classifier.storage.paths import StrPath, location_of
from imdb_classifier.version import __version__

Alias = Literal["champion", "challenger", "previous"]
ALIASES: Final[tuple[Alias, ...]] = ("champion", "challenger", "previous")
CHAMPION: Final = "@champion"
logger = logging.getLogger(__name__)


def bundled_path() -> Path:
    """Return the folder of the model that comes with the package."""
    return Path(str(files("imdb_classifier") / "pretrained"))


@dataclass(frozen=True)
class Registry:
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

    root: str

    @classmethod
    def at(cls, root: StrPath | None = None) -> Registry:
        """Return the registry in a folder.

        Args:
            root: The folder. Default: IMDB_CLASSIFIER_REGISTRY, else a folder in the home
                directory.
        """
        chosen = root or os.environ.get(REGISTRY_VARIABLE)
        chosen = chosen or platformdirs.user_data_path("imdb-classifier") / "registry"
        return cls(location_of(chosen).rstrip("/"))

    @property
    def work(self) -> Path:
        """The local folder in which models are trained before they are registered."""
        if is_remote(self.root):
            return platformdirs.user_cache_path("imdb-classifier") / "work"
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
        for folder in (*map(self._version, self.ids()), str(bundled_path())):
            try:
                manifest = json.loads(storage_of(folder).read_text(f"{folder}/{MANIFEST_FILE}"))
            except (OSError, ValueError) as error:
                logger.warning(
                    "%s is skipped: its manifest is damaged (%s)", folder, type(error).__name__
                )
            else:
                found.append(manifest)
        return found

    def aliases(self) -> dict[str, str]:
        """Return the aliases that are set, with the id that each points to.

        Raises:
            UnavailableError: The registry cannot be reached.
        """
        storage = storage_of(self.root)
        files = {alias: f"{self.root}/{alias}" for alias in ALIASES}
        with reading(self.root):
            return {
                alias: storage.read_text(file).strip()
                for alias, file in files.items()
                if storage.kind(file) == "file"
            }

    def aliases_of(self, model_id: str) -> list[str]:
        """Return the aliases that point to a version or to the bundled model."""
        aliases = self.aliases()
        if "champion" not in aliases:
            aliases["champion"] = self.load(CHAMPION).model_id
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
            try:
                intact.append(load_bundle(self._version(name)))
            except (BundleError, OSError) as error:
                damaged[name] = printable(str(error))
        bundled = load_bundle(bundled_path())
        if bundled.model_id not in {bundle.model_id for bundle in intact}:
            intact.append(bundled)
        return intact, damaged

    def load(self, reference: StrPath) -> Bundle:
        """Load the model that a reference names.

        Args:
            reference: ``@champion``, ``@challenger`` or ``@previous``; a version's id; or the path
                of a bundle, local or in an object store.

        Raises:
            UnknownModelError: There is no such model.
            BundleError: The model is damaged.
            UnavailableError: The registry or the bundle cannot be reached.
        """
        name = location_of(reference)
        aliases: Mapping[str, str] = self.aliases()
        if name == CHAMPION and "champion" not in aliases:
            return load_bundle(bundled_path())
        if name.startswith("@"):
            name = aliases.get(name[1:], name)
        location = self._version(name) if name in self.ids() else name
        with reading(self.root):
            if not name.startswith("@") and storage_of(location).kind(location) == "folder":
                return load_bundle(location)
        bundled = load_bundle(bundled_path())
        if name == bundled.model_id:
            return bundled
        known = [
            CHAMPION,
            *(f"@{alias}" for alias in aliases if alias != "champion"),
            *self.ids(),
        ]
        raise UnknownModelError(os.fspath(reference), [*known, bundled.model_id])

    def check_version(self, bundle: Bundle) -> None:
        """Check that a model can be promoted.

        Raises:
            ConfigurationError: The model is neither a version of this registry nor the bundled one.
        """
        if bundle.location not in (self._version(bundle.model_id), str(bundled_path())):
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
        """
        aliases = self.aliases()
        if (
            bundle.location == self._version(bundle.model_id)
            and bundle.model_id not in (aliases.get("champion"), aliases.get("previous"))
            and not (self.decision(bundle.model_id) or {}).get("promote")
            and bundle.model_id != load_bundle(bundled_path()).model_id
        ):
            raise UnapprovedModelError(bundle.model_id)

    def decision_file(self, model_id: str) -> str:
        """Return the path of the file for the decision on a version."""
        return f"{self._version(model_id)}.decision.json"

    def decision(self, model_id: str) -> dict[str, Any] | None:
        """Return the last decision on a version as a dict, or None if there is none."""
        file = self.decision_file(model_id)
        with reading(self.root):
            if storage_of(file).kind(file) is None:
                return None
            decided: dict[str, Any] = json.loads(storage_of(file).read_text(file))
            return decided

    def record(
        self,
        model_id: str,
        decision: Mapping[str, Any],
        requested_by: Mapping[str, str] | None = None,
    ) -> None:
        """Store the decision on a version next to it, see ``registry/records.py``.

        Raises:
            CannotWriteError: The registry cannot be written.
        """
        record = stamped(decision, requested_by or {})
        self._write(self.decision_file(model_id), to_json(record))

    def is_undecided(self, model_id: str) -> bool:
        """Return whether a version still awaits the decision on its promotion."""
        aliases = self.aliases()
        return (
            model_id in self.ids()
            and model_id not in (aliases.get("champion"), aliases.get("previous"))
            and self.decision(model_id) is None
        )

    def check_writable(self) -> None:
        """Check that versions and reports can be written.

        Raises:
            CannotWriteError: The registry cannot be written.
        """
        with writing(self.root):
            for folder in ("versions", "reports"):
                storage_of(self.root).check_writable(f"{self.root}/{folder}")

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

    def promote(self, reference: StrPath) -> str:
        """Make a model the champion, and the former champion ``previous``.

        Args:
            reference: A version or the bundled model, as in `load`.

        Returns:
            The id of the new champion.

        Raises:
            UnknownModelError: There is no such model.
            ConfigurationError: The model is neither a version of this registry nor the bundled one.
            CannotWriteError: The registry cannot be written.
        """
        promoted = self.load(reference)
        self.check_version(promoted)
        # Without loading the champion: one that is damaged or missing can still be replaced.
        champion = self.aliases().get("champion") or load_bundle(bundled_path()).model_id
        if champion != promoted.model_id:
            self._keep_bundled({champion, promoted.model_id})
            # In this order, an interruption in between leaves the old champion in place.
            self._point("previous", champion)
            self._point("champion", promoted.model_id)
        return promoted.model_id

    def roll_back(self, requested_by: Mapping[str, str] | None = None) -> str:
        """Make ``previous`` the champion, without checks, and store ``<model id>.rollback.json``.

        Args:
            requested_by: Who asked for it, see ``registry/records.py``.

        Returns:
            The id of the new champion.

        Raises:
            UnknownModelError: No model has been promoted yet.
            CannotWriteError: The registry cannot be written.
        """
        champion = self.promote("@previous")
        record = {"champion": champion, "previous": self.aliases()["previous"]}
        self._write(self._rollback_file(champion), to_json(stamped(record, requested_by or {})))
        return champion

    def _keep_bundled(self, model_ids: Set[str]) -> None:
        """Copy the bundled model to the registry if it is one of these."""
        bundled = load_bundle(bundled_path())
        if bundled.model_id in model_ids - set(self.ids()):
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

    def _rollback_file(self, model_id: str) -> str:
        return f"{self._version(model_id)}.rollback.json"

    def _version(self, model_id: str) -> str:
        return f"{self.root}/versions/{model_id}"

    def _point(self, alias: Alias, model_id: str) -> None:
        self._write(f"{self.root}/{alias}", f"{model_id}\n")

    def _write(self, file: str, text: str) -> None:
        with writing(self.root):
            storage_of(file).write_text(file, text)
