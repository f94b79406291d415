"""The licenses of everything that ``pip install 'imdb-classifier[all]'`` installs.

Writes the page: ``python -m docs.licenses > docs/reference/licenses.md``.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import Distribution, distribution
from platform import python_version, python_version_tuple

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from benchmarks.table import markdown_table

PACKAGE = "imdb-classifier"


def needed(*requirements: str, python: str = python_version()) -> Iterator[Distribution]:
    """Yield the installed distributions that fulfill requirements, each once.

    Args:
        *requirements: Such as ``imdb-classifier[flows]``. The package itself is left out.
        python: The release of Python that would run them; by default, the one that runs.
    """
    seen: set[tuple[str, str]] = set()
    waiting = [Requirement(text) for text in requirements]
    while waiting:
        requirement = waiting.pop()
        found = distribution(requirement.name)
        name = canonicalize_name(requirement.name)
        if name != PACKAGE and not any(before == name for before, _ in seen):
            yield found
        for extra in {"", *requirement.extras}:
            if (name, extra) in seen:
                continue
            seen.add((name, extra))
            environment = {"extra": extra, "python_full_version": python}
            for text in found.requires or []:
                inner = Requirement(text)
                if inner.marker is None or inner.marker.evaluate(environment):
                    waiting.append(inner)


def license_of(found: Distribution) -> str:
    """Return a distribution's license by its metadata: an SPDX expression, or its own words."""
    metadata = found.metadata
    for expression in metadata.get_all("License-Expression") or []:
        return str(expression)
    classifiers = [
        name.rpartition(" :: ")[2]
        for name in metadata.get_all("Classifier") or []
        if name.startswith("License :: ") and name != "License :: OSI Approved"
    ]
    # Some packages give the whole text as the license.
    words = "".join(metadata.get_all("License") or []).strip()
    if words and "\n" not in words and len(words) < 60:
        return words
    return ", ".join(classifiers) or (words.splitlines() or ["not stated"])[0]


def page() -> str:
    """Return the page of the documentation, as Markdown."""
    # Some packages are for earlier patch releases only; the page is the same with any of them.
    newest = ".".join([*python_version_tuple()[:2], "99"])
    rows = {
        canonicalize_name(found.metadata["Name"]): license_of(found)
        for found in needed(f"{PACKAGE}[all]", python=newest)
    }
    table = [{"package": name, "license": rows[name]} for name in sorted(rows)]
    return f"""# Licenses of the dependencies

`pip install 'imdb-classifier[all]'` installs these packages. The licenses are those that their \
metadata names, as SPDX expressions or in their own words; `python -m docs.licenses` writes this \
page from the installed packages.

{markdown_table(table)}
"""


if __name__ == "__main__":
    print(page(), end="")
