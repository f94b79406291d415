"""The public API: its names, its examples, and the kinds of arguments that it takes."""

from __future__ import annotations

import ast
import doctest
import inspect
import pkgutil
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import imdb_classifier
from imdb_classifier import (
    Registry,
    RunResult,
    Scorer,
    dry_run_parquet,
    errors,
    load_bundle,
    load_reviews,
    score_parquet,
    verify_output,
)
from imdb_classifier.registry.versions import bundled_path
from tests.extras import needs

CHECKOUT = Path(__file__).parents[1]
OBJECTS = {
    name: getattr(imdb_classifier, name)
    for name in imdb_classifier.__all__
    if not name.startswith("_")
}
FUNCTIONS = [name for name, value in OBJECTS.items() if inspect.isfunction(value)]


def test_every_public_name_is_there() -> None:
    assert sorted(dir(imdb_classifier)) == sorted(imdb_classifier.__all__)
    assert all(value is not None for value in OBJECTS.values())
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = imdb_classifier.nothing


def test_the_names_for_type_checkers_are_those_at_run_time() -> None:
    tree = ast.parse(Path(imdb_classifier.__file__).read_text("utf-8"))
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    imports = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    assert {
        name.name: (node.module or "").removeprefix("imdb_classifier.")
        for node in imports
        for name in node.names
    } == imdb_classifier._MODULE_OF
    of_errors = {name for name, value in vars(errors).items() if inspect.isclass(value)}
    exported = {name for name in of_errors if issubclass(vars(errors)[name], Exception)}
    assert {*imdb_classifier._MODULE_OF, *exported, "__version__"} == {*imdb_classifier.__all__}


def test_what_the_functions_take_is_public() -> None:
    assert {
        "Bundle", "DriftLimits", "Limits", "Registry", "SampleOptions", "ScoreOptions", "Scorer",
        "Selection",
    } <= {*imdb_classifier.__all__}  # fmt: skip


@needs("prefect", "flows")
def test_no_name_hides_a_module() -> None:
    modules = pkgutil.walk_packages(imdb_classifier.__path__, "imdb_classifier.")
    names = {module.name.rpartition(".")[2] for module in modules}
    assert "scorer" in names
    assert names & {*imdb_classifier.__all__} == set()


def test_what_pages_import_is_public() -> None:
    pages = [CHECKOUT / "README.md", *(CHECKOUT / "docs").rglob("*.md")]
    text = "\n".join(page.read_text("utf-8") for page in pages)
    imported = re.findall(r"from imdb_classifier import ([\w, ]+)", text)
    names = {name.strip() for line in imported for name in line.split(",")}
    assert {"score_dataframe", "Scorer"} <= names <= {*imdb_classifier.__all__, "tasks"}


@pytest.mark.parametrize("name", [*FUNCTIONS, "Registry", "Scorer"])
def test_the_example_in_the_docstring_runs(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IMDB_CLASSIFIER_REGISTRY", str(tmp_path / "registry"))
    docstring = inspect.getdoc(OBJECTS[name])
    assert docstring
    assert "\nExample:\n" in docstring
    example = doctest.DocTestParser().get_doctest(docstring, {}, name, None, None)
    assert example.examples
    said: list[str] = []
    failed = doctest.DocTestRunner().run(example, out=said.append).failed
    assert failed == 0, "".join(said)


@pytest.mark.parametrize("name", sorted({*FUNCTIONS} - {"release_model"}))
def test_what_a_function_raises_says_when(name: str) -> None:
    docstring = inspect.getdoc(OBJECTS[name]) or ""
    assert "Returns:\n" in docstring
    raised = re.findall(r"^    (\w+Error): \w", docstring.split("Raises:\n")[1], re.MULTILINE)
    assert raised
    assert {*raised} <= {*OBJECTS, "OSError"}


def as_text(path: Path) -> str:
    return str(path)


@pytest.fixture
def reviews(tmp_path: Path) -> Path:
    file = tmp_path / "in" / "train-a.parquet"
    file.parent.mkdir()
    table = {"text": ["A fine film.", None, "A dull one."], "label": pa.array([1, 0, 0], pa.int8())}
    pq.write_table(pa.table(table), file)
    return file


@pytest.mark.parametrize("kind", [as_text, Path], ids=["strings", "path objects"])
def test_paths_may_be_strings_or_path_objects(
    reviews: Path, tmp_path: Path, scorer: Scorer, kind: Callable[[Path], Any]
) -> None:
    source, output = kind(reviews.parent), kind(tmp_path / "out")
    before = dry_run_parquet(source, output, scorer)
    assert [file.status for file in before.files] == ["new"]
    result = score_parquet(source, output, scorer)
    assert result.files[0].output == str(tmp_path / "out" / "train-a.parquet")
    assert verify_output(output, scorer, source=source).problems == ()
    assert load_reviews(source, "train").left_out["null"] == 1
    bundle = load_bundle(kind(bundled_path()))
    assert bundle.location == str(bundled_path())
    registry = Registry.at(kind(tmp_path / "registry"))
    assert registry == Registry(str(tmp_path / "registry"))
    assert registry.load(kind(bundled_path())).model_hash == bundle.model_hash


def test_a_model_may_be_a_reference_or_a_scorer(reviews: Path, tmp_path: Path) -> None:
    registry = Registry.at(tmp_path / "registry")
    with Scorer.load("@champion", registry) as champion:
        written: dict[str, bytes] = {}
        models: dict[str, dict[str, Any]] = {
            "default": {},
            "alias": {"model": "@champion"},
            "id": {"model": champion.bundle.model_id},
            "path": {"model": bundled_path()},
            "scorer": {"model": champion},
        }
        for name, model in models.items():
            named = {**model, "registry": registry}
            output = tmp_path / f"{name}.parquet"
            assert dry_run_parquet(reviews, output, **named).model_id == champion.bundle.model_id
            result = score_parquet(reviews, output, **named)
            assert isinstance(result, RunResult)
            assert verify_output(output, **named).problems == ()
            written[name] = output.read_bytes()
        assert len(set(written.values())) == 1
        # A scorer that is passed in stays open.
        assert len(champion.probabilities(pa.array(["A fine film."]))) == 1
    with pytest.raises(errors.UnknownModelError, match="'@previous' is none of these"):
        score_parquet(reviews, tmp_path / "none.parquet", "@previous", registry=registry)
