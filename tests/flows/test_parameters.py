"""No parameter of a flow without a test that fails when it is ignored."""

from __future__ import annotations

from inspect import Parameter, signature
from typing import Any

from prefect import Flow

from imdb_classifier import flows
from tests.options import covered


def test_every_parameter_is_covered() -> None:
    public: list[Flow[..., Any]] = [getattr(flows, name) for name in flows.__all__]
    parameters = {
        f"{flow.name}:{name}"
        for flow in public
        for name, parameter in signature(flow.fn).parameters.items()
        if parameter.default is not Parameter.empty
    }
    assert {name for name in covered() if ":" in name} == parameters
