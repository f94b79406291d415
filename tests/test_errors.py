from __future__ import annotations

import ast
import os
import pickle
import re
from collections.abc import Iterator
from errno import EACCES, EDQUOT, EIO, ENOMEM, ENOSPC, EROFS
from importlib.metadata import version
from pathlib import Path
from unicodedata import is_normalized

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import imdb_classifier
from imdb_classifier import errors
from imdb_classifier.errors import (
    AmbiguousColumnError,
    BadDataError,
    BundleError,
    CannotWriteError,
    ChecksumError,
    ColumnExistsError,
    ConfigurationError,
    ExportError,
    ImdbClassifierError,
    MissingColumnError,
    MissingExtraError,
    MissingReviewColumnError,
    NoInputError,
    OutputExistsError,
    OutputInUseError,
    PartlyScoredError,
    TextTypeError,
    UnapprovedModelError,
    UnavailableError,
    UnexpectedError,
    UnknownModelError,
    UnreadableFileError,
    UnsupportedDataError,
    UnsupportedPackageError,
    counted,
    first_line,
    printable,
)
from imdb_classifier.registry.access import ChampionChangedError
from imdb_classifier.reviews.download import DownloadError
from imdb_classifier.reviews.sources import NoReviewsError
from imdb_classifier.storage.paths import UnknownSchemeError, UnsetVariableError
from imdb_classifier.system_errors import cannot_write, known_error

LOCAL_COPY = "set `data` or IMDB_CLASSIFIER_DATA to a local copy; "


def _unexpected() -> UnexpectedError:
    try:
        raise KeyError("the text of a review")
    except KeyError as error:
        return UnexpectedError(error)


CASES: list[tuple[ImdbClassifierError, int, str]] = [
    (ImdbClassifierError("A rule.", "This came.", "Do that."), 70, "A rule. This came. Do that."),
    (ConfigurationError("A rule.", "This came.", "Do that."), 78, "A rule. This came. Do that."),
    (NoInputError("A rule.", "This came.", "Do that."), 66, "A rule. This came. Do that."),
    (UnavailableError("A rule.", "This came.", "Do that."), 69, "A rule. This came. Do that."),
    (BadDataError("A rule.", "This came.", "Do that."), 65, "A rule. This came. Do that."),
    (BundleError("A rule.", "This came.", "Do that."), 65, "A rule. This came. Do that."),
    (ExportError("A rule.", "This came.", "Do that."), 65, "A rule. This came. Do that."),
    (CannotWriteError("A rule.", "This came.", "Do that."), 73, "A rule. This came. Do that."),
    (
        MissingExtraError("Training a model", "keras", "train"),
        78,
        "Training a model needs the package keras. It is not installed. "
        "Install it with: pip install 'imdb-classifier[train]'",
    ),
    (
        UnsupportedPackageError("click", TypeError("unexpected keyword argument 'help'")),
        78,
        f"A supported version of click is required. click {version('click')} is installed and "
        "fails with TypeError: unexpected keyword argument 'help'. "
        "Install a supported version with: pip install --upgrade imdb-classifier click",
    ),
    (
        NoReviewsError("There is no aclImdb_v1.tar.gz", "/cache"),
        66,
        "Training and evaluation need the IMDB reviews. "
        "There is no aclImdb_v1.tar.gz, and nothing is downloaded automatically. "
        f"Do one of the following: {LOCAL_COPY}download it once with `imdb-classifier data fetch`; "
        "or put the published file into /cache yourself.",
    ),
    (
        DownloadError("https://example.org/a", "it was cut off", "/cache/a"),
        66,
        "https://example.org/a must be reachable and send the complete file. "
        "The download failed: it was cut off; nothing was kept. "
        f"Do one of the following: {LOCAL_COPY}run `imdb-classifier data fetch` again; "
        "or save the published file as /cache/a yourself.",
    ),
    (
        MissingColumnError("text", "reviews.parquet", ["id", "body"], "Name another."),
        65,
        "Column 'text' is not in reviews.parquet. Its columns: id, body. Name another.",
    ),
    (
        MissingReviewColumnError("label", "reviews.parquet", []),
        65,
        "Column 'label' is not in reviews.parquet. Its columns: none. "
        "Rename your columns: labeled reviews need text (the review) and label (0 or 1).",
    ),
    (
        AmbiguousColumnError("text", "reviews.parquet", 2, "`text_column`"),
        65,
        "A column can be chosen only if its name is unique. "
        "reviews.parquet has 2 columns named 'text'. "
        "Rename them, or choose another column with `text_column`.",
    ),
    (
        PartlyScoredError(
            {"a.parquet": "It is damaged.", "b.parquet": "It is gone."},
            pending=0,
            files=5,
            exit_code=75,
        ),
        75,
        "Not all files were scored: "
        "2 of 5 failed: a.parquet: It is damaged.; b.parquet: It is gone. "
        "Resolve the errors and rerun; finished files are kept.",
    ),
    (
        OutputInUseError("scored/day=1", "scored"),
        73,
        "Only one run at a time can write to an output. Another run is writing to scored, which "
        "overlaps with scored/day=1. "
        "Wait until it has finished, or choose another `output`.",
    ),
    (
        OutputInUseError("scored", "scored", "process 12 of user anna on db-\x1b1"),
        73,
        "Only one run at a time can write to an output. Another run is writing to scored: "
        "process 12 of user anna on db-\\x1b1. "
        "Wait until it has finished, or choose another `output`.",
    ),
    (
        PartlyScoredError({}, pending=3, files=5, exit_code=75),
        75,
        "Not all files were scored: 3 of 5 pending. Rerun to continue; finished files are kept.",
    ),
    (
        ChampionChangedError("tiny-1", "tiny-2"),
        73,
        "A champion is only replaced while it is the one that was found at the start. "
        "It was tiny-1; another run has made it tiny-2. "
        "List the models with `imdb-classifier models list`, and try again.",
    ),
    (
        TextTypeError("id", "reviews.parquet", "of type int64"),
        65,
        "Column 'id' of reviews.parquet must contain text: strings or UTF-8 bytes. "
        "It is of type int64. Cast it to text first, or choose another column.",
    ),
    (
        TextTypeError(None, "the data", "of type int64"),
        65,
        "The data must contain text: strings or UTF-8 bytes. "
        "It is of type int64. Cast it to text first.",
    ),
    (
        UnsupportedDataError("Texts must be in a list.", "a single text", "Pass a list of texts."),
        65,
        "Texts must be in a list. It received a single text. Pass a list of texts.",
    ),
    (
        ColumnExistsError(["sentiment_label"], "reviews.parquet"),
        65,
        "Input columns are never overwritten. reviews.parquet already has: sentiment_label. "
        "Choose another `prefix` for the new columns.",
    ),
    (
        UnreadableFileError("reviews.parquet", "it ends early"),
        65,
        "reviews.parquet must be a readable Parquet file. Reading it failed: it ends early. "
        "Recreate the file, or remove it from the input.",
    ),
    (
        ChecksumError("imdb.npz", "aa", "bb"),
        65,
        "imdb.npz must have the published checksum aa. It has bb. "
        "Delete the file and download it again.",
    ),
    (
        OutputExistsError("/out", "imdb-classifier did not write it", "Choose another."),
        73,
        "/out must not exist, unless an identical run wrote it. "
        "It exists, and imdb-classifier did not write it. Choose another.",
    ),
    (
        UnapprovedModelError("seed-0123"),
        78,
        "Versions that have not passed the promotion checks cannot be used for scoring. "
        "seed-0123 has not passed them. Run `imdb-classifier models promote seed-0123`, "
        "or use it anyway with `allow_unapproved`.",
    ),
    (UnknownSchemeError("A rule.", "This came.", "Do that."), 2, "A rule. This came. Do that."),
    (UnsetVariableError("A rule.", "This came.", "Do that."), 2, "A rule. This came. Do that."),
    (
        UnknownModelError("best", ["@champion", "seed-0123"]),
        66,
        "A model must be the path of a bundle, a version id or an @alias. "
        "'best' is none of these. Known models: @champion, seed-0123. "
        "List the models with `imdb-classifier models list`.",
    ),
    (
        _unexpected(),
        70,
        "Unexpected error: KeyError in test_errors.py, "
        f"line {_unexpected.__code__.co_firstlineno + 2}. "
        "Retry; if it happens again, report this line.",
    ),
]


@pytest.mark.parametrize(
    ("error", "exit_code", "text"), CASES, ids=[type(error).__name__ for error, *_ in CASES]
)
def test_text_and_exit_code(error: ImdbClassifierError, exit_code: int, text: str) -> None:
    assert str(error) == text
    assert error.exit_code == exit_code
    assert isinstance(error, ValueError)


def test_every_class_is_in_the_table() -> None:
    defined = {
        value
        for value in (getattr(imdb_classifier, name) for name in imdb_classifier.__all__)
        if isinstance(value, type) and issubclass(value, ImdbClassifierError)
    }
    assert {type(error) for error, *_ in CASES} == defined


@pytest.mark.parametrize("error", [error for error, *_ in CASES], ids=lambda e: type(e).__name__)
def test_crosses_process_borders(error: ImdbClassifierError) -> None:
    error.note = "kept"  # type: ignore[attr-defined]
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert str(copy) == str(error)
    assert vars(copy) == vars(error)
    assert copy.exit_code == error.exit_code


def test_the_details_of_googles_client_are_left_out() -> None:
    said = "google::cloud::Status(UNAVAILABLE: Could not resolve host error_info={reason=, domain="
    assert first_line(OSError(said)) == said.partition(" error_info")[0]


def test_long_lists_are_cut() -> None:
    error = MissingColumnError("text", "a.parquet", (f"c{i}" for i in range(23)), "")
    assert "c18, c19 and 3 more." in str(error)
    error = MissingColumnError("text", "a.parquet", (f"c{i}" for i in range(20)), "")
    assert "c18, c19. " in str(error)


def test_a_name_that_may_be_a_review_is_counted_and_not_shown() -> None:
    review = "A film that I would not recommend to anybody, least of all to my friends. " * 9_000
    error = MissingColumnError("text", "a.parquet", ["id", review, "x" * 60], "")
    assert f"Its columns: id, <{len(review):,} characters>, {'x' * 60}. " in str(error)
    cut = str(BadDataError("A rule.", review, "Do that."))
    assert len(cut) < 6_000
    assert f"... ({len(review):,} characters). Do that." in cut


@pytest.mark.parametrize(
    ("number", "way_out"),
    [
        (ENOSPC, "Free up space, or choose"),
        (EDQUOT, "Free up space, or choose"),
        (EACCES, "Check your permissions, or choose"),
        (EROFS, "Check your permissions, or choose"),
        (EIO, "Free up space, check your permissions, or choose"),
    ],
)
def test_the_way_out_fits_what_the_system_said(number: int, way_out: str) -> None:
    error = cannot_write("out.parquet", OSError(number, os.strerror(number)))
    assert str(error).endswith(f"{os.strerror(number)}. {way_out} another `output`.")


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("x"),
        pa.ArrowMemoryError("x"),
        RuntimeError("can't start new thread"),
        RuntimeError(
            "[ONNXRuntimeError] : 1 : FAIL : Failed to allocate memory for requested buffer"
        ),
        ImportError("a.so: failed to map segment from shared object"),
        OSError(ENOMEM, os.strerror(ENOMEM)),
    ],
)
def test_short_memory_is_no_internal_error(error: Exception) -> None:
    known = known_error(error)
    assert (known.exit_code, known.may_pass) == (69, True)
    assert "IMDB_CLASSIFIER_THREADS" in str(known)


def test_subclasses_are_caught_by_what_they_are() -> None:
    assert issubclass(DownloadError, NoReviewsError)
    assert issubclass(NoReviewsError, NoInputError)
    assert issubclass(MissingReviewColumnError, MissingColumnError)
    assert issubclass(BundleError, BadDataError)
    assert issubclass(OutputExistsError, CannotWriteError)


@pytest.mark.parametrize(
    ("count", "expected"), [(0, "0 files"), (1, "1 file"), (2, "2 files"), (2000, "2,000 files")]
)
def test_counts_agree_with_their_nouns(count: int, expected: str) -> None:
    assert counted(count, "file") == expected


@given(st.text(st.characters(codec=None)))
def test_a_text_is_made_one_line_of_printable_characters(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable()
    assert printable(shown) == shown
    assert shown == text or not (text.isprintable() and is_normalized("NFC", text))


def test_bytes_of_a_name_that_are_no_utf_8_are_spelled_out() -> None:
    assert printable(os.fsdecode(b"caf\xe9 \xc3\xa9\n\x1b[0m")) == r"caf\xe9 é\n\x1b[0m"


def test_an_error_is_one_line_whatever_names_it_holds() -> None:
    error = UnreadableFileError("a\n\x1b[31mb.parquet", "it is \r damaged")
    assert str(error).isprintable()


def raised_texts(module: Path) -> Iterator[str]:
    """Yield the literal parts of the messages of errors that a module creates."""
    for node in ast.walk(ast.parse(module.read_text("utf-8"))):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if called.endswith(("Error", "Error.__init__", "super().__init__")):
                parts = (part for argument in node.args for part in ast.walk(argument))
                values = (part.value for part in parts if isinstance(part, ast.Constant))
                yield from (value for value in values if isinstance(value, str))


def test_errors_name_parameters_and_no_options_of_the_command_line() -> None:
    package = Path(errors.__file__).parent
    modules = [file for file in package.rglob("*.py") if "cli" not in file.parts]
    texts = [text for module in modules for text in raised_texts(module)]
    assert len(texts) > 200
    option = re.compile(r"--[a-z]|\b(INPUT|OUTPUT)\b")
    others = ("pip install", "dask worker")  # other programs' options
    named = [text for text in texts if option.search(text)]
    assert [text for text in named if not any(other in text for other in others)] == []
