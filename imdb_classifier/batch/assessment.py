"""What a run does with each file, from the footers of the file and of its output."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final, Literal, Self, TypeVar

from imdb_classifier.batch.inputs.discovery import DiscoveredFile, Discovery
from imdb_classifier.batch.options import ScoreOptions, Selection
from imdb_classifier.batch.outputs.provenance import (
    changes,
    foreign,
    origin,
    provenance_in,
    read_provenance,
)
from imdb_classifier.batch.outputs.publication import EarlierRun
from imdb_classifier.batch.parquet_footer.file_footer import FileFooter
from imdb_classifier.errors import (
    ImdbClassifierError,
    NoInputError,
    OutputExistsError,
    UnreadableFileError,
    spelled,
)
from imdb_classifier.storage import storage_of
from imdb_classifier.system_errors import cannot_write

_T = TypeVar("_T")

Verdict = Literal["new", "stale", "finished", "skipped", "outdated", "failing"]

_FILES_AT_ONCE: Final = 32
"""Threads. A footer in an object store takes many times longer to arrive than to be read."""
_SLICE: Final = 64
"""Files that a thread takes at a time."""


@dataclass(frozen=True)
class Assessment:
    """What a run does with one file.

    Attributes:
        file: The file and its output.
        verdict: ``new`` or ``stale``: it is scored, and ``stale`` replaces an output of another
            model, input or options. ``finished``: its output is up to date. ``skipped`` or
            ``outdated``: the selection leaves out a new or a stale file. ``failing``: its output
            exists and must not be replaced.
        rows: Rows in it; 0 if it cannot be read.
        footer: Its footer; None if it cannot be read, so that scoring it will fail.
        error: Why it cannot be read, or why it is ``failing``.
        provenance: What scoring wrote into its output; None if there is no output of ours.
        output_digest: Digest of the output's footer; None if there is no output of ours.
    """

    file: DiscoveredFile
    verdict: Verdict
    rows: int
    footer: FileFooter | None
    error: ImdbClassifierError | None
    provenance: dict[str, Any] | None = None
    output_digest: str | None = None

    @property
    def is_scored(self) -> bool:
        """Whether the run scores the file."""
        return self.verdict in ("new", "stale")


@dataclass(frozen=True)
class ExistingOutputs:
    """What an output consists of before a run.

    Attributes:
        names: The files in it, as paths relative to it; of a single file, at most its own name.
        others: What else is in it and may be in the way, likewise.
    """

    names: frozenset[str] = frozenset()
    others: frozenset[str] = frozenset()

    @classmethod
    def find(cls, discovery: Discovery, output: str) -> Self:
        """List the output of an input once.

        Raises:
            CannotWriteError: The output cannot be accessed.
        """
        storage = storage_of(output)
        try:
            if discovery.root is None:
                (file,) = discovery.files
                exists = storage.kind(file.target) is not None
                return cls(frozenset([file.target_name] if exists else []))
            if storage.kind(output) != "folder":
                return cls()
            listing = storage.find(output, skip_unreadable=True)
        except OSError as error:
            raise cannot_write(output, error) from error
        return cls(frozenset(listing.names), listing.folders.union(listing.ignored))

    def has(self, file: DiscoveredFile) -> bool:
        """Return whether a file's output exists already, or something else is in its place."""
        return file.target_name in self.names or file.target_name in self.others

    def orphans(
        self, discovery: Discovery, source: str, output: str, earlier: EarlierRun
    ) -> tuple[str, ...]:
        """Return the outputs whose input no longer exists, sorted: paths relative to the folder.

        What is ignored in the input, such as a folder that cannot be read, still exists.

        Args:
            discovery: What the input consists of.
            source: The input.
            output: The folder.
            earlier: What the folder says about earlier runs. Outputs of another input have no
                input here, and are no orphans.
        """
        if not earlier.scored(source):
            return ()
        names = {spelled(name): name for name in self.names}
        gone = earlier.names - {file.name for file in discovery.files}
        ignored = {file.name for file in discovery.ignored}
        there = sorted(
            names[name] for name in gone if name in names and ignored.isdisjoint(_and_folders(name))
        )
        with ThreadPoolExecutor(_FILES_AT_ONCE, thread_name_prefix="orphans") as pool:
            found = pool.map(read_provenance, (posixpath.join(output, name) for name in there))
            # Another program may have written a file of that name since.
            return tuple(name for name, said in zip(there, found, strict=True) if said is not None)


@dataclass(frozen=True)
class Assessor:
    """Decides what a run does with its files.

    Attributes:
        model_hash: The run's model.
        options: Columns, and rows without text.
        selection: Which files are scored, depending on existing outputs.
        outputs: The existing outputs.
    """

    model_hash: str
    options: ScoreOptions
    selection: Selection
    outputs: ExistingOutputs

    def each(
        self, files: Sequence[DiscoveredFile], use: Callable[[Assessment], _T]
    ) -> Iterator[_T]:
        """Assess files in parallel, and yield what `use` makes of each, in their order.

        Footers may be large, so `use` should keep no more of them than it needs. It is called in
        several threads.
        """
        slices = [files[begin : begin + _SLICE] for begin in range(0, len(files), _SLICE)]
        with ThreadPoolExecutor(_FILES_AT_ONCE, thread_name_prefix="assess") as pool:
            for part in pool.map(lambda part: [use(self.assess(file)) for file in part], slices):
                yield from part

    def assess(self, file: DiscoveredFile) -> Assessment:
        """Read one footer of a file and, if its output exists, one of the output."""
        footer, rows, error = _footer_of(file.source)
        if not self.outputs.has(file):
            verdict: Verdict = "new" if self.selection.new else "skipped"
            return Assessment(file, verdict, rows, footer, error)
        output, _, fault = _footer_of(file.target)
        provenance = None if output is None else provenance_in(output)
        if output is None or provenance is None:
            if fault is None or isinstance(fault, NoInputError | UnreadableFileError):
                fault = foreign(file.target)
            return Assessment(file, "failing", rows, footer, fault)
        if footer is None:
            # Scoring it fails, and says why.
            return Assessment(file, "stale", rows, None, error)
        changed = changes(provenance, origin(footer, self.model_hash, self.options))
        verdict = self._verdict(changed)
        if verdict == "failing":
            error = OutputExistsError(
                file.target,
                f"it was scored from {' and '.join(changed)}",
                "Replace such outputs with `only=new,stale`, or choose another `output`.",
            )
        return Assessment(file, verdict, rows, footer, error, provenance, output.digest)

    def _verdict(self, changed: Sequence[str]) -> Verdict:
        """Return what happens to a file that has an output, scored from something else if any."""
        if not changed:
            return "stale" if self.selection.force else "finished"
        verdicts: dict[str, Verdict] = {
            "refuse": "failing", "skip": "outdated", "replace": "stale"
        }  # fmt: skip
        return verdicts[self.selection.stale]


def _and_folders(name: str) -> list[str]:
    """Return a relative path, and those of the folders around it."""
    parts = name.split("/")
    return ["/".join(parts[:end]) for end in range(1, len(parts) + 1)]


def _footer_of(path: str) -> tuple[FileFooter | None, int, ImdbClassifierError | None]:
    """Return a file's footer and its rows, or why it cannot be read."""
    try:
        footer = FileFooter.read(path)
        return footer, int(footer.metadata.num_rows), None
    except ImdbClassifierError as error:
        return None, 0, error
