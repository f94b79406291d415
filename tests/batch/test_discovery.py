from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from imdb_classifier.batch.dry_run import dry_run_parquet
from imdb_classifier.batch.inputs.discovery import discover_files
from imdb_classifier.batch.inputs.file_names import IgnoredFile, ignored_summary
from imdb_classifier.batch.options import ScoreOptions
from imdb_classifier.batch.run import score_parquet
from imdb_classifier.batch.verification import verify_output
from imdb_classifier.errors import CannotWriteError, NoInputError
from imdb_classifier.scoring.scorer import Scorer


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A folder with files as other systems leave them; discovery only looks at names."""
    for name in (
        "b.parquet",
        "a.parquet",
        "C.PARQUET",
        "_lang=en/d.parq",
        "_lang=en/e.Pq",
        "day=2026-11-01/part 0=ü.parquet",
        "day=2026-11-02/x/part.parquet",
        "day=2026-11-02/notes.txt",
        "day=2026-11-02/part-00000",
        "table.csv",
        "_SUCCESS",
        "_MANIFEST.json",
        "_metadata",
        ".a.parquet.crc",
        ".git/config",
        "_quarantine/a.parquet",
        ".hidden.parquet",
        "_temporary/part.parquet",
        "folder.parquet/c.parquet",
    ):
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path / "in"


def test_a_tree_keeps_its_names(tree: Path, tmp_path: Path) -> None:
    found = discover_files(str(tree), str(tmp_path / "out"))
    files = found.files
    names = [
        "C.PARQUET",
        "_lang=en/d.parq",
        "_lang=en/e.Pq",
        "a.parquet",
        "b.parquet",
        "day=2026-11-01/part 0=ü.parquet",
        "day=2026-11-02/x/part.parquet",
        "folder.parquet/c.parquet",
    ]
    assert [file.name for file in files] == names
    assert [file.source for file in files] == [str(tree / name) for name in names]
    assert [file.target for file in files] == [str(tmp_path / "out" / name) for name in names]
    assert found.root == str(tree)


def test_what_might_be_data_is_said_to_be_ignored_and_why(tree: Path, tmp_path: Path) -> None:
    found = discover_files(str(tree), str(tmp_path / "out"))
    hidden = "is hidden: its name or a folder's starts with '.' or '_'"
    other = f"does not end in .parquet, .parq or .pq; the pattern '{tree}/**/*' reads any name"
    assert {file.name: file.reason for file in found.ignored} == {
        ".hidden.parquet": hidden,
        "_temporary/part.parquet": hidden,
        "day=2026-11-02/notes.txt": other,
        "day=2026-11-02/part-00000": other,
        "table.csv": "is not Parquet, by its name",
    }
    # What the reason says is true.
    names = [file.name for file in discover_files(f"{tree}/**/*", str(tmp_path / "out")).files]
    assert {"day=2026-11-02/notes.txt", "day=2026-11-02/part-00000"} < set(names)


def test_links_and_pipes_that_cannot_be_read_are_said_to_be_ignored(
    tree: Path, tmp_path: Path
) -> None:
    (tree / "day=2026-11-01" / "up").symlink_to(tree)
    os.mkfifo(tree / "pipe.parquet")
    found = discover_files(str(tree), str(tmp_path / "out"))
    reasons = {file.name: file.reason for file in found.ignored}
    assert "leads back to itself" in reasons["day=2026-11-01/up"]
    assert reasons["pipe.parquet"] == "is not a regular file"


def test_ignored_files_are_summed_up_by_reason() -> None:
    ignored = [
        *(IgnoredFile(f"part-{i:05}", "has no suffix") for i in range(1_000)),
        IgnoredFile(".a.parquet", "is hidden"),
    ]
    assert ignored_summary(ignored) == (
        "1,001 files ignored: part-00000, part-00001, part-00002 and 997 more (has no suffix); "
        ".a.parquet (is hidden)"
    )
    assert ignored_summary(ignored[-1:]) == "1 file ignored: .a.parquet (is hidden)"
    assert ignored_summary([]) == ""


def test_a_folder_in_which_all_is_ignored(tmp_path: Path) -> None:
    for name in ("part-00000", "part-00001", ".a.parquet"):
        (tmp_path / "in").mkdir(exist_ok=True)
        (tmp_path / "in" / name).touch()
    with pytest.raises(
        NoInputError,
        match=r"in contains no Parquet file; 3 files ignored: \.a\.parquet \(is hidden.*"
        r"part-00000, part-00001 \(does not end in .*in/\*\*/\*' reads any name\)",
    ):
        discover_files(str(tmp_path / "in"), str(tmp_path / "out"))


def test_outputs_of_any_name_are_verified(tmp_path: Path, scorer: Scorer) -> None:
    for name in ("_lang=en/part-00000", "b.PQ"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table({"text": ["A fine film."]}), tmp_path / "in" / name)
    assert score_parquet(f"{tmp_path}/in/**/*", tmp_path / "out", scorer).exit_code == 0
    verification = verify_output(tmp_path / "out", scorer)
    assert (verification.files, verification.problems) == (2, ())
    (tmp_path / "out" / "b.PQ").unlink()
    (problem,) = verify_output(tmp_path / "out", scorer).problems
    assert (problem.file, problem.what) == ("b.PQ", "It is gone.")


@pytest.mark.parametrize("name", ["part-00000", ".hidden"])
def test_a_single_output_of_any_name_is_verified(tmp_path: Path, scorer: Scorer, name: str) -> None:
    pq.write_table(pa.table({"text": ["A fine film."]}), tmp_path / name)
    score_parquet(tmp_path / name, tmp_path / "out", scorer)
    assert verify_output(tmp_path / "out" / name, scorer).problems == ()


def test_a_pattern_keeps_names_from_its_first_wildcard_on(tree: Path, tmp_path: Path) -> None:
    found = discover_files(f"{tree}/day=*/**/*.parquet", str(tmp_path / "out"))
    assert [file.name for file in found.files] == [
        "day=2026-11-01/part 0=ü.parquet",
        "day=2026-11-02/x/part.parquet",
    ]
    assert [
        file.name for file in discover_files(f"{tree}/[ab].parquet", str(tmp_path / "out")).files
    ] == [
        "a.parquet",
        "b.parquet",
    ]


@pytest.mark.parametrize(
    ("output", "target"),
    [
        ("out.parquet", "out.parquet"),
        ("out", "out/a.parquet"),
        ("there", "there/a.parquet"),
        ("there.parquet", "there.parquet/a.parquet"),
    ],
)
def test_a_file_goes_to_a_file_or_into_a_folder(
    tree: Path, tmp_path: Path, output: str, target: str
) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there.parquet").mkdir()
    found = discover_files(str(tree / "a.parquet"), str(tmp_path / output))
    assert found.root is None
    (file,) = found.files
    assert file.target == str(tmp_path / target)
    assert file.name == "a.parquet"


def test_a_file_named_outright_may_begin_with_a_dot(tree: Path, tmp_path: Path) -> None:
    (file,) = discover_files(str(tree / ".hidden.parquet"), str(tmp_path / "out.parquet")).files
    assert file.source == str(tree / ".hidden.parquet")


@pytest.mark.parametrize(
    ("source", "came"),
    [
        ("nothing", "nothing matches no file"),
        ("empty", "empty contains no Parquet file"),
        ("in/*.arrow", r"arrow matches no file"),
    ],
)
def test_no_input(tree: Path, tmp_path: Path, source: str, came: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(NoInputError, match=came):
        discover_files(str(tmp_path / source), str(tmp_path / "out"))


@pytest.mark.parametrize(
    ("source", "output"),
    [("in", "in"), ("in", "in/out"), ("in", "in/../in/out"), ("in/a.parquet", "in/a.parquet")],
)
def test_input_and_output_stay_apart(tree: Path, tmp_path: Path, source: str, output: str) -> None:
    with pytest.raises(CannotWriteError, match="must lie outside the input"):
        discover_files(str(tmp_path / source), str(tmp_path / output))


@pytest.mark.parametrize("output", ["scored", "."])
def test_a_pattern_keeps_apart_from_what_it_matches_only(
    tree: Path, monkeypatch: pytest.MonkeyPatch, output: str
) -> None:
    monkeypatch.chdir(tree)
    if output == "scored":
        files = discover_files("*.parquet", output).files
        assert all(file.target.startswith("scored/") for file in files)
    else:
        with pytest.raises(CannotWriteError, match="must lie outside the input"):
            discover_files("*.parquet", output)
    with pytest.raises(CannotWriteError, match="must lie outside the input"):
        discover_files("**/*.parquet", "scored")


@pytest.mark.parametrize("name", ["out.csv", "out.PARQ", "out.jsonl", "out.PARQUET"])
def test_an_output_of_another_format_is_no_folder(tree: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(
        CannotWriteError, match=r"must be a folder or a name that ends in \.parquet"
    ):
        discover_files(str(tree / "a.parquet"), str(tmp_path / name))
    (tmp_path / name).mkdir()
    (file,) = discover_files(str(tree / "a.parquet"), str(tmp_path / name)).files
    assert file.target == str(tmp_path / name / "a.parquet")


def test_an_output_may_stand_beside_or_above_the_input(tree: Path, tmp_path: Path) -> None:
    assert discover_files(str(tree / "a.parquet"), str(tree / "scored.parquet")).files
    assert discover_files(str(tree), str(tmp_path)).files


def test_an_output_above_the_input_must_not_reach_into_it(tree: Path, tmp_path: Path) -> None:
    (tree / "in").mkdir()
    (tree / "in" / "a.parquet").touch()
    with pytest.raises(CannotWriteError, match=r"in/a\.parquet is part of .*in\."):
        discover_files(str(tree), str(tmp_path))


@pytest.mark.parametrize("output", ["out.parquet", "file"])
def test_many_files_need_a_folder(tree: Path, tmp_path: Path, output: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CannotWriteError, match="`source` is a folder or a glob pattern"):
        discover_files(str(tree), str(tmp_path / output))


@pytest.mark.parametrize("key", ["sentiment_label", "Sentiment_PROBABILITY", "_x%6Cabel"])
def test_a_partition_with_the_name_of_a_new_column_is_refused(
    tmp_path: Path, scorer: Scorer, key: str
) -> None:
    """Spark, Hive, DuckDB and pandas would give it in place of the column, or fail."""
    name = f"{key}=old/a.parquet"
    (tmp_path / "in" / name).parent.mkdir(parents=True)
    pq.write_table(pa.table({"text": ["A fine film."]}), tmp_path / "in" / name)
    taken, free = ScoreOptions(), ScoreOptions(prefix="ours_")
    if key.startswith("_"):
        taken = ScoreOptions(prefix="_X")
    (planned,) = dry_run_parquet(tmp_path / "in", tmp_path / "out", scorer, taken).files
    (file,) = score_parquet(tmp_path / "in", tmp_path / "out", scorer, taken).failed
    assert (planned.status, planned.error, file.exit_code) == ("failing", file.error, 65)
    assert f"already has: the partition {unquote(key)}" in str(file.error)
    assert score_parquet(tmp_path / "in", tmp_path / "out", scorer, free).exit_code == 0
    # The path of a single file is not that of its output.
    output = tmp_path / "out.parquet"
    assert score_parquet(tmp_path / "in" / name, output, scorer, taken).exit_code == 0
