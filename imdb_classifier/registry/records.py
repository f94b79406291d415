"""The small files of a registry: aliases, decisions and rollbacks."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final, Literal

from imdb_classifier.errors import BadDataError, CannotWriteError, OutputInUseError
from imdb_classifier.registry.access import reading, writing
from imdb_classifier.storage import storage_of
from imdb_classifier.storage.files import to_json

Alias = Literal["champion", "challenger", "previous"]
ALIASES: Final[tuple[Alias, ...]] = ("champion", "challenger", "previous")

_PACKAGES: Final = ("imdb-classifier", "llvmlite", "numpy", "onnxruntime", "pyarrow")
"""What the scores of a model depend on."""
_PATIENCE_SECONDS: Final = 60
_PAUSE_SECONDS: Final = 0.1


@dataclass(frozen=True)
class Records:
    """Aliases, decisions and rollbacks; the folder does not have to exist to be read.

    Attributes:
        root: The folder, as a location.
    """

    root: str

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Wait until no other run changes the champion or prunes, and keep others from it.

        The lock ends with this process, even if it is killed. Object stores have no locks.

        Raises:
            CannotWriteError: Another run holds the lock for a minute, or the registry cannot be
                written.
        """
        champion, previous = self._alias_file("champion"), self._alias_file("previous")
        lock = storage_of(self.root).lock
        last = time.monotonic() + _PATIENCE_SECONDS
        with ExitStack() as held:
            while True:
                try:
                    with writing(self.root):
                        held.enter_context(lock(champion, [previous]))
                    break
                except OutputInUseError:
                    if time.monotonic() >= last:
                        raise CannotWriteError(
                            "Only one run at a time can promote, roll back or prune.",
                            f"Another run has been at it in {self.root} for a minute.",
                            "Try again when it has finished.",
                        ) from None
                time.sleep(_PAUSE_SECONDS)
            yield

    def check_writable(self) -> None:
        """Check that versions and reports can be written.

        Raises:
            CannotWriteError: The registry cannot be written.
        """
        with writing(self.root):
            for folder in ("versions", "reports"):
                storage_of(self.root).check_writable(f"{self.root}/{folder}")

    def aliases(self) -> dict[str, str]:
        """Return the aliases that are set, with the id that each points to.

        Raises:
            UnavailableError: The registry cannot be reached.
        """
        storage = storage_of(self.root)
        files = {alias: self._alias_file(alias) for alias in ALIASES}
        with reading(self.root):
            return {
                alias: storage.read_text(file).strip()
                for alias, file in files.items()
                if storage.kind(file) == "file"
            }

    def decision_file(self, model_id: str) -> str:
        """Return the path of the file for the decision on a version."""
        return f"{self._version(model_id)}.decision.json"

    def decision(self, model_id: str) -> dict[str, Any] | None:
        """Return the last decision on a version as a dict, or None if there is none.

        Raises:
            BadDataError: The decision is damaged.
            UnavailableError: The registry cannot be reached.
        """
        file = self.decision_file(model_id)
        with reading(self.root):
            if storage_of(file).kind(file) is None:
                return None
            try:
                decided = json.loads(storage_of(file).read_text(file))
            except (ValueError, RecursionError):
                decided = None
        if not isinstance(decided, dict):
            raise BadDataError(
                "The decision on a version must be a JSON object.",
                f"{file} is damaged.",
                f"Decide again with `imdb-classifier models promote {model_id}`.",
            )
        return decided

    def is_decided(self, model_id: str) -> bool:
        """Return whether there is a decision on a version that is not damaged."""
        try:
            return self.decision(model_id) is not None
        except BadDataError:
            return False

    def record(
        self,
        model_id: str,
        decision: Mapping[str, Any],
        requested_by: Mapping[str, str] | None = None,
    ) -> None:
        """Store the decision on a version next to it.

        The time (UTC), the versions of packages, and who asked for it are added.

        Args:
            model_id: The version.
            decision: Plain JSON values.
            requested_by: ``user`` (login name), or ``flow``, ``flow_run`` and ``deployment``.

        Raises:
            CannotWriteError: The registry cannot be written.
        """
        self._write(self.decision_file(model_id), to_json(_stamped(decision, requested_by)))

    def _record_rollback(
        self, champion: str, replaced: str, requested_by: Mapping[str, str] | None
    ) -> None:
        record = _stamped({"champion": champion, "previous": replaced}, requested_by)
        self._write(self._rollback_file(champion), to_json(record))

    def _rollback_file(self, model_id: str) -> str:
        return f"{self._version(model_id)}.rollback.json"

    def _version(self, model_id: str) -> str:
        return f"{self.root}/versions/{model_id}"

    def _alias_file(self, alias: Alias) -> str:
        return f"{self.root}/{alias}"

    def _point(self, alias: Alias, model_id: str) -> None:
        self._write(self._alias_file(alias), f"{model_id}\n")

    def _write(self, file: str, text: str) -> None:
        with writing(self.root):
            storage_of(file).write_text(file, text)


def _stamped(record: Mapping[str, Any], requested_by: Mapping[str, str] | None) -> dict[str, Any]:
    return {
        **record,
        "decided_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "packages": {name: found for name in _PACKAGES if (found := _installed(name))},
        "requested_by": dict(requested_by or {}),
    }


def _installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
