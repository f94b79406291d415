"""Skipping tests whose optional packages are not installed."""

from __future__ import annotations

from importlib.util import find_spec

import pytest


def needs(package: str, extra: str) -> pytest.MarkDecorator:
    """Return a mark that skips a test if a package is missing, as in `make test-lowest`."""
    reason = f"{package} is not installed (extra: {extra})"
    return pytest.mark.skipif(find_spec(package) is None, reason=reason)
