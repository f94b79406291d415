"""The built documentation, and the pages as they are written."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
OUTSIDE = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "deployments/README.md"]
"""Pages that are read as they are."""
PAGES = [
    *OUTSIDE,
    *(str(file.relative_to(CHECKOUT)) for file in sorted((CHECKOUT / "docs").rglob("*.md"))),
]


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the site, built as `make docs` builds it: a warning is an error."""
    if not find_spec("sphinx"):
        pytest.skip("the documentation's tools are not installed: pip install --group docs")
    folder = tmp_path_factory.mktemp("site")
    options = ["--fresh-env", "--fail-on-warning", "--keep-going", "--quiet"]
    built = subprocess.run(
        [sys.executable, "-m", "sphinx", *options, "-d", folder / "doctrees", "docs", folder],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
    )
    assert built.returncode == 0, built.stderr
    return folder
