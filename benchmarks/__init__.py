"""Measurements of the project, each in one run on one machine: ``make bench``."""
