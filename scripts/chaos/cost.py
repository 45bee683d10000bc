"""To come."""

from pathlib import Path

from scripts.chaos.report import Report


def main(report: Report, folder: Path) -> None:
    raise NotImplementedError
