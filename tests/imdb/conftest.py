"""Everything here needs the real data set."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from imdb_classifier.reviews.sources import DATA_VARIABLE

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if os.environ.get(DATA_VARIABLE):
        return
    skip = pytest.mark.skip(reason=f"{DATA_VARIABLE} does not name the real reviews")
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(skip)
