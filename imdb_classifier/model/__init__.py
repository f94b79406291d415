"""The network, its exported form, and the bundle that holds both."""
