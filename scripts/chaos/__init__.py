"""Faults on purpose, with real processes, and a report of what became of them: `make chaos`."""
