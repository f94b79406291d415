"""Engines, which compute probabilities from token sequences."""
