"""The network, its exported form, and the bundle that contains both."""
