"""What an output says about itself, to be checked."""

from __future__ import annotations

import posixpath
from functools import cached_property
from typing import Any, NamedTuple

from imdb_classifier.batch.inputs.file_names import is_hidden, is_parquet
from imdb_classifier.batch.outputs.provenance import read_provenance
from imdb_classifier.batch.outputs.publication import (
    RUN_MANIFEST_FILE,
    SUCCESS_FILE,
    read_manifest,
)
from imdb_classifier.errors import BadDataError, NoInputError, spelled
from imdb_classifier.storage import storage_of
from imdb_classifier.system_errors import cannot_read


class ListedFile(NamedTuple):
    """What a manifest says about a scored file, as far as it is checked.

    Attributes:
        name: The file's name.
        rows: Rows in it; None if that is not said.
        footer_digest: The digest of its footer; None if that is not said.
    """

    name: str
    rows: object = None
    footer_digest: str | None = None


class Publication:
    """What an output says about itself: a folder in its manifest, a single file in its footer.

    Args:
        output: A scored file, or a folder that a run completed.

    Attributes:
        output: What was given.
        model_id: The model that scored all of it.
        source: The input, or None for a single file.
        files: What the manifest says about each file, by its name; of a single file, nothing.
        orphans: Names of files whose input was gone.
        unscored: Names of inputs that the run left out: bad ones, and those not selected.

    Raises:
        NoInputError: It is neither.
        UnavailableError: Its place cannot be reached.
        BadDataError: The manifest is damaged.
    """

    def __init__(self, output: str) -> None:
        self.output = output
        self.source: str | None = None
        self.files: dict[str, ListedFile] = {}
        self.orphans: frozenset[str] = frozenset()
        self.unscored: frozenset[str] = frozenset()
        try:
            said = self._said()
        except OSError as error:
            raise cannot_read(output, error) from error
        if said is None:
            raise NoInputError(
                "Only a scored file or a folder with _SUCCESS and _MANIFEST.json can be verified.",
                f"{output} is neither.",
                "Finish it with imdb-classifier score, or choose another `output`.",
            )
        self.model_id = str(said["model_id"])

    def _said(self) -> dict[str, Any] | None:
        storage = storage_of(self.output)
        self._found: tuple[str, ...]
        if storage.kind(self.output) != "folder":
            self._root, name = posixpath.split(self.output)
            self._found = (name,)
            self.files = {spelled(name): ListedFile(spelled(name))}
            return read_provenance(self.output)
        self._root, self._found = self.output, storage.find(self.output).names
        if SUCCESS_FILE not in self._found:
            return None
        manifest = posixpath.join(self.output, RUN_MANIFEST_FILE)
        try:
            said = read_manifest(manifest, _listed)
            if said is None:
                raise ValueError
            self.source = said["input"]
            self.files = {listed.name: listed for listed in said["files"]}
            self.orphans = frozenset(said["orphans"])
            bad = (listed["name"] for listed in said["bad_files"])
            self.unscored = frozenset((*bad, *said["skipped"]))
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            raise BadDataError(
                f"{manifest} must list the files of a finished run.",
                "It is damaged.",
                "Run imdb-classifier score again: it keeps finished files and rewrites the list.",
            ) from error
        return said

    @property
    def is_single_file(self) -> bool:
        """Whether it is a scored file."""
        return self.source is None

    def path(self, name: str) -> str:
        """Return where a file is."""
        return posixpath.join(self._root, self.names[name])

    @cached_property
    def names(self) -> dict[str, str]:
        """The scored files that exist: their paths relative to the folder, by their names."""
        return {
            spelled(name): name
            for name in self._found
            if spelled(name) in self.files or (is_parquet(name) and not is_hidden(name))
        }


def _listed(values: dict[str, Any]) -> dict[str, Any] | ListedFile:
    """Return what is kept of an object in a manifest."""
    if "footer_digest" not in values:
        return values
    return ListedFile(values["name"], values.get("rows"), str(values["footer_digest"]))
