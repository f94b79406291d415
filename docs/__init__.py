"""The documentation: its pages and the values of their templates."""
