"""Trained models by version and alias, in a folder on this machine or in an object store.

``versions/<model id>/`` holds one bundle each, written once. The aliases ``champion`` (what
scores), ``challenger`` (what was trained last) and ``previous`` (what was champion before) are
small files with a version's id in them, each replaced atomically. While no champion was ever
promoted, the model that is bundled with the package is the champion; it becomes a version when an
alias is to name it, because a later release may bundle another. What was decided of a version
stands beside it, in ``versions/<model id>.decision.json``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Set
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, Literal

import platformdirs

from imdb_classifier.errors import (
    CannotWriteError,
    ConfigurationError,
    UnapprovedModelError,
    UnknownModelError,
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
from imdb_classifier.storage import OBJECT_STORE, storage_of
from imdb_classifier.storage.files import to_json
from imdb_classifier.storage.paths import StrPath, to_str

Alias = Literal["champion", "challenger", "previous"]
ALIASES: Final[tuple[Alias, ...]] = ("champion", "challenger", "previous")
CHAMPION: Final = "@champion"
REGISTRY_VARIABLE: Final = "IMDB_CLASSIFIER_REGISTRY"


def bundled_path() -> Path:
    """The folder of the model that comes with the package."""
    return Path(str(files("imdb_classifier") / "pretrained"))


@dataclass(frozen=True)
class Registry:
    """The folder that holds versions and aliases; it need not exist to be read.

    Attributes:
        root: That folder: a path, or ``s3://bucket/...``.

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
        """The registry at ``root``, else ``IMDB_CLASSIFIER_REGISTRY``, else the user's own."""
        chosen = root or os.environ.get(REGISTRY_VARIABLE)
        chosen = chosen or platformdirs.user_data_path("imdb-classifier") / "registry"
        return cls(to_str(chosen).rstrip("/"))

    @property
    def work(self) -> Path:
        """The folder of this machine in which models are trained before they are registered."""
        if self.root.startswith(OBJECT_STORE):
            return platformdirs.user_cache_path("imdb-classifier") / "work"
        return Path(self.root) / "work"

    def report_folder(self, model_id: str) -> str:
        """Where the report of a model's evaluation goes."""
        return f"{self.root}/reports/{model_id}"

    def ids(self) -> list[str]:
        """The ids of all versions, sorted; the bundled model is not among them.

        Raises:
            ConfigurationError: The registry cannot be reached.
        """
        storage, versions = storage_of(self.root), f"{self.root}/versions"
        with self._reading():
            if storage.kind(versions) is None:
                return []
            parts = [name.split("/") for name in storage.find(versions)]
        return sorted(name for name, *file in parts if file == [SUMS_FILE] and name[0] != ".")

    def manifests(self) -> list[dict[str, Any]]:
        """What each version says of itself; quicker than `bundles`, as nothing is checked.

        Raises:
            ConfigurationError: The registry cannot be reached.
        """
        storage = storage_of(self.root)
        files = [f"{self._version(name)}/{MANIFEST_FILE}" for name in self.ids()]
        with self._reading():
            return [json.loads(storage.read_text(file)) for file in files]

    def aliases(self) -> dict[str, str]:
        """Each alias that is set, with the id it stands for.

        Raises:
            ConfigurationError: The registry cannot be reached.
        """
        storage = storage_of(self.root)
        files = {alias: f"{self.root}/{alias}" for alias in ALIASES}
        with self._reading():
            return {
                alias: storage.read_text(file).strip()
                for alias, file in files.items()
                if storage.kind(file) == "file"
            }

    def aliases_of(self, model_id: str) -> list[str]:
        """The aliases that stand for a model, the bundled one included."""
        aliases = self.aliases()
        if "champion" not in aliases:
            aliases["champion"] = self.load(CHAMPION).model_id
        return [alias for alias in ALIASES if aliases.get(alias) == model_id]

    def bundles(self) -> list[Bundle]:
        """Every version, then the bundled model if it is none of them.

        Raises:
            BundleError: One of them is damaged.
            ConfigurationError: The registry cannot be reached.
        """
        ids = self.ids()
        with self._reading():
            versions = [load_bundle(self._version(name)) for name in ids]
            bundled = load_bundle(bundled_path())
        return versions if bundled.model_id in ids else [*versions, bundled]

    def load(self, reference: StrPath) -> Bundle:
        """The model that a reference names.

        Args:
            reference: ``@champion``, ``@challenger`` or ``@previous``; a version's id; or the path
                of a bundle, here or in an object store.

        Raises:
            UnknownModelError: It names nothing here.
            BundleError: It names a bundle that is damaged.
            ConfigurationError: The registry or the bundle cannot be reached.
        """
        name = to_str(reference)
        aliases: Mapping[str, str] = self.aliases()
        if name == CHAMPION and "champion" not in aliases:
            return load_bundle(bundled_path())
        if name.startswith("@"):
            name = aliases.get(name[1:], name)
        location = self._version(name) if name in self.ids() else name
        with self._reading():
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
        raise UnknownModelError(to_str(reference), [*known, bundled.model_id])

    def check_version(self, bundle: Bundle) -> None:
        """Make sure that a model can be promoted.

        Raises:
            ConfigurationError: It is neither a version of this registry nor the bundled model.
        """
        if bundle.location not in (self._version(bundle.model_id), str(bundled_path())):
            raise ConfigurationError(
                "Only a version of the registry can be promoted.",
                f"{bundle.location} lies outside {self.root}.",
                "Register the model first: `imdb-classifier train` does.",
            )

    def check_approved(self, bundle: Bundle) -> None:
        """Make sure that a version has passed the promotion checks, or is or was champion.

        The bundled model and models outside this registry are taken as they are.

        Raises:
            UnapprovedModelError: It has not.
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
        """Where the decision on a version is kept, once there is one."""
        return f"{self._version(model_id)}.decision.json"

    def decision(self, model_id: str) -> dict[str, Any] | None:
        """The last decision on a version, its fields as a dict; None if there is none."""
        file = self.decision_file(model_id)
        with self._reading():
            if storage_of(file).kind(file) is None:
                return None
            decided: dict[str, Any] = json.loads(storage_of(file).read_text(file))
            return decided

    def record(self, model_id: str, decision: Mapping[str, Any]) -> None:
        """Keep what was decided of a version, beside it.

        Raises:
            CannotWriteError: The registry's folder cannot be written.
        """
        self._write(f"versions/{model_id}.decision.json", to_json(decision))

    def register(self, bundle: Bundle, evaluation: str, card: str) -> Bundle:
        """Keep a model as a version, and call it the challenger.

        A model that is there already is not written again: the id is made of its content.

        Args:
            bundle: The model.
            evaluation: The text of its ``evaluation.json``.
            card: The text of its model card.

        Raises:
            CannotWriteError: The registry's folder cannot be written.
        """
        target = self._version(bundle.model_id)
        if bundle.model_id not in self.ids():
            with_evaluation(bundle, evaluation, card, target)
        self._point("challenger", bundle.model_id)
        return load_bundle(target)

    def promote(self, reference: StrPath) -> str:
        """Make a model the champion, and what was champion ``previous``.

        Args:
            reference: As in `load`; a version, or the bundled model.

        Returns:
            The id of the new champion.

        Raises:
            UnknownModelError: The reference names nothing here.
            ConfigurationError: It names a bundle outside the registry.
            CannotWriteError: The registry's folder cannot be written.
        """
        promoted = self.load(reference)
        self.check_version(promoted)
        # A champion that is damaged or gone is not loaded: promotion is the way out of that.
        champion = self.aliases().get("champion") or load_bundle(bundled_path()).model_id
        if champion != promoted.model_id:
            self._keep_bundled({champion, promoted.model_id})
            # In this order: killed in between, the old champion still scores.
            self._point("previous", champion)
            self._point("champion", promoted.model_id)
        return promoted.model_id

    def _keep_bundled(self, model_ids: Set[str]) -> None:
        """Make the bundled model a version if it is one of these."""
        bundled = load_bundle(bundled_path())
        if bundled.model_id in model_ids - set(self.ids()):
            evaluation, card = (
                (bundled.path / name).read_text("utf-8") for name in (EVALUATION_FILE, CARD_FILE)
            )
            with_evaluation(bundled, evaluation, card, self._version(bundled.model_id))

    def _version(self, model_id: str) -> str:
        return f"{self.root}/versions/{model_id}"

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise ConfigurationError(
                "The registry must be readable.",
                f"{self.root} is not: {error.strerror or error}.",
                f"Check your access, or name another with --registry or {REGISTRY_VARIABLE}.",
            ) from error

    def _point(self, alias: Alias, model_id: str) -> None:
        self._write(alias, f"{model_id}\n")

    def _write(self, name: str, text: str) -> None:
        try:
            storage_of(self.root).write_text(f"{self.root}/{name}", text)
        except OSError as error:
            raise CannotWriteError(
                "The registry's folder must be writable.",
                f"{self.root} is not: {error.strerror or error}.",
                f"Name another with --registry or {REGISTRY_VARIABLE}.",
            ) from error
