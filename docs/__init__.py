"""The documentation: pages, and what fills them in."""
