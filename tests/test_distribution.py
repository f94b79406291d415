"""Wheel and sdist: what they contain, and that they work where nothing else is installed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Callable
from email.message import Message
from email.parser import BytesParser
from importlib.metadata import distributions
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from tests.empty_machine import CHECKOUT, WITHOUT_INDEX, build, link_requirements

Unpack = Callable[[tarfile.TarFile, Path], None]

NEVER: Final = re.compile(
    r"(^|/)(tests|benchmarks|docs|build|shared|\.git|\.venv|__pycache__)(/|$)|\.(pyc|log|orig|rej|swp)$"
)
"""Paths in a distribution that nobody needs who installs it."""
INDEXES: Final = re.compile(r"pypi\.org/simple|index-url|pythonhosted|artifactory|/root/|/home/\w")
"""What only the machine that it was built on would know."""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("wheel", tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory, unpack: Unpack) -> Path:
    """The folder that the sdist unpacks into."""
    folder = tmp_path_factory.mktemp("sdist")
    with tarfile.open(build("sdist", folder)) as archive:
        unpack(archive, folder)
    (unpacked,) = (path for path in folder.iterdir() if path.is_dir())
    return unpacked


def contents(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as files:
        return {name: files.read(name) for name in files.namelist()}


def metadata(files: dict[str, bytes]) -> Message:
    (name,) = (name for name in files if name.endswith(".dist-info/METADATA"))
    return BytesParser().parsebytes(files[name])


def test_the_pinned_versions_run_on_the_lowest_python() -> None:
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text("utf-8"))["project"]
    (lowest,) = re.findall(r">=([\d.]+)", project["requires-python"])
    lines = (CHECKOUT / "constraints.txt").read_text("utf-8").split()
    pins = {canonicalize_name(name): pin for name, _, pin in (x.partition("==") for x in lines)}
    pinned = {
        found.name: SpecifierSet("".join(found.metadata.get_all("Requires-Python") or []))
        for found in distributions()
        if pins.get(canonicalize_name(found.name)) == found.version
    }
    # Python of Debian 12, for instance, is 3.11.2.
    assert [name for name, pythons in pinned.items() if f"{lowest}.0" not in pythons] == []


def test_they_contain_what_is_needed_and_nothing_of_this_machine(
    wheel: Path, unpacked: Path
) -> None:
    files = contents(wheel)
    tops = {name.split("/")[0] for name in files}
    assert {re.sub(r"-.*\.", ".", top) for top in tops} == {
        "imdb_classifier",
        "imdb_classifier.dist-info",
    }
    for name in (
        "py.typed",
        "pretrained/model.onnx",
        "flows/score.py",
        "_deployments/prefect.yaml",
    ):
        assert f"imdb_classifier/{name}" in files
    sources = {
        path.relative_to(unpacked).as_posix(): path.read_bytes()
        for path in unpacked.rglob("*")
        if path.is_file()
    }
    for name, content in {**sources, **files}.items():
        assert not NEVER.search(name), name
        if name.endswith((".py", ".md", ".toml", ".txt", ".yaml", "METADATA", "Dockerfile")):
            assert not INDEXES.search(content.decode()), name
    assert sum(map(len, files.values())) < 20e6


def test_the_metadata_leave_license_and_addresses_to_the_owner(wheel: Path) -> None:
    said = metadata(contents(wheel))
    assert said["Name"] == "imdb-classifier"
    assert said["Requires-Python"] == "<3.14,>=3.11"
    assert {"train", "fast", "flows", "all"} <= {*(said.get_all("Provides-Extra") or [])}
    owners = ("License", "License-Expression", "Home-page", "Project-URL", "Author", "Author-Email")
    assert [name for name in owners if said[name]] == []


def test_the_sdist_builds_the_same_wheel(wheel: Path, unpacked: Path, tmp_path: Path) -> None:
    assert contents(build("wheel", tmp_path, unpacked)) == contents(wheel)


def test_the_wheel_scores_with_nothing_but_what_it_requires(wheel: Path, tmp_path: Path) -> None:
    home, empty = tmp_path / "home", tmp_path / "empty"
    home.mkdir()
    subprocess.run([sys.executable, "-m", "venv", str(empty)], check=True)
    pip = [str(empty / "bin" / "python"), "-m", "pip", "install"]
    quiet = ["--quiet", "--disable-pip-version-check", "--no-deps", str(wheel)]
    subprocess.run([*pip, *quiet], env=os.environ | WITHOUT_INDEX, check=True)
    packages = link_requirements(tmp_path / "core", "imdb-classifier")["PYTHONPATH"]
    pq.write_table(pa.table({"text": ["A warm, funny film.", "Dull."]}), home / "in.parquet")

    def run(*arguments: str) -> str:
        command = [str(empty / "bin" / "imdb-classifier"), *arguments]
        environment = {"PATH": os.defpath, "HOME": str(home), "PYTHONPATH": packages}
        ran = subprocess.run(command, cwd=home, env=environment, capture_output=True, text=True)
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    run("score", "in.parquet", "out.parquet")
    assert "no differences" in run("verify", "out.parquet", "--input", "in.parquet")
    assert "production-" in run("models", "list")
    assert pq.read_table(home / "out.parquet")["sentiment_label"].to_pylist() == [
        "positive", "negative",
    ]  # fmt: skip
