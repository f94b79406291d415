"""A machine that has Python and the wheel, but no other package, and no index of packages."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

CHECKOUT = Path(__file__).parents[1]
NAME = "imdb-classifier"
PROGRAM = """\
#!/usr/bin/env python
import sys

from {module} import {name}

if __name__ == "__main__":
    sys.exit({name}())
"""
"""What pip makes of an entry point."""
WITHOUT_INDEX = {"PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": os.devnull}


def build_wheel(folder: Path) -> Path:
    """Build the checkout's wheel; returns its path."""
    build = ["hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run([sys.executable, "-m", *build], cwd=CHECKOUT, check=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


def link_requirements(folder: Path, *requirements: str) -> dict[str, str]:
    """Link what requirements need, and no more, from this environment; what pip need not install.

    Args:
        folder: New folder for the links.
        *requirements: Such as ``imdb-classifier[flows]``. The package itself is left out.

    Returns:
        Environment variables with which Python and a shell find it.
    """
    packages, programs = folder / "packages", folder / "programs"
    packages.mkdir(parents=True)
    programs.mkdir()
    for found in _needed([Requirement(text) for text in requirements]):
        for top in {file.parts[0] for file in found.files or []} - {"..", "__pycache__"}:
            link = packages / top
            if not link.is_symlink():
                link.symlink_to(str(found.locate_file(top)))
        for entry in found.entry_points.select(group="console_scripts"):
            program = programs / entry.name
            program.write_text(PROGRAM.format(module=entry.module, name=entry.attr), "utf-8")
            program.chmod(0o755)
    return {
        "PYTHONPATH": str(packages),
        "PATH": os.pathsep.join(
            [str(programs), str(Path(sys.executable).parent), os.environ["PATH"]]
        ),
    }


def _needed(requirements: list[Requirement]) -> Iterator[Distribution]:
    """The distributions that fulfill requirements, each once, except the package itself."""
    seen: set[tuple[str, str]] = set()
    while requirements:
        requirement = requirements.pop()
        found = distribution(requirement.name)
        name = canonicalize_name(requirement.name)
        if name != NAME and not any(before == name for before, _ in seen):
            yield found
        for extra in {"", *requirement.extras}:
            if (name, extra) in seen:
                continue
            seen.add((name, extra))
            for text in found.requires or []:
                needed = Requirement(text)
                if needed.marker is None or needed.marker.evaluate({"extra": extra}):
                    requirements.append(needed)
