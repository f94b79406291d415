from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imdb_classifier.batch.inputs.discovery import discover_files, group_files
from imdb_classifier.errors import CannotWriteError, NoInputError


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A folder with files as other systems leave them; discovery only looks at names."""
    for name in (
        "b.parquet",
        "a.parquet",
        "day=2026-11-01/part 0=ü.parquet",
        "day=2026-11-02/x/part.parquet",
        "day=2026-11-02/notes.txt",
        "_SUCCESS",
        "_metadata.parquet",
        ".hidden.parquet",
        "_temporary/part.parquet",
        ".git/part.parquet",
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
    assert [file.name for file in found.ignored] == ["day=2026-11-02/notes.txt"]


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
        ("empty", r"empty contains no \.parquet file"),
        ("in/*.csv", r"csv matches no file"),
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


@pytest.mark.parametrize("name", ["out.csv", "out.PARQ", "out.jsonl"])
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
    with pytest.raises(CannotWriteError, match="INPUT is a folder or a glob pattern"):
        discover_files(str(tree), str(tmp_path / output))


@given(st.lists(st.integers(0, 1_000)), st.integers(1, 64), st.integers(1, 2_000))
def test_units_hold_every_file_once_and_are_few(rows: list[int], most: int, least: int) -> None:
    units = group_files(rows, most, least)
    assert [position for unit in units for position in unit] == list(range(len(rows)))
    assert len(units) <= most


def test_units_are_about_equal() -> None:
    assert group_files([10] * 10, 3, 1) == [range(4), range(4, 7), range(7, 10)]
    assert group_files([10] * 4, 64, 20) == [range(2), range(2, 4)]
    assert group_files([0, 0, 5], 64, 1) == [range(3)]
