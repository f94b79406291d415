"""Token sequences to probabilities, by one of several engines."""
