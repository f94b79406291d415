"""Engines, which compute probabilities from token sequences."""

from typing import Literal

EngineName = Literal["compiled", "onnx", "keras"]
EngineChoice = Literal["auto", "compiled", "onnx", "keras"]
"""``auto`` is ``compiled`` if llvmlite is installed and works, else ``onnx``."""
