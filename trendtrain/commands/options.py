"""Options that several commands share."""

import argparse

DEFAULT_DB = "sqlite:///trendtrain.db"


def add_db(parser: argparse.ArgumentParser) -> None:
    """Add `--db`."""
    parser.add_argument("--db", default=DEFAULT_DB, help="database URL (%(default)s)")


def whole(text: str) -> int | str:
    """Return an integer; other text as it is, for the option's own rule to refuse in its own words."""
    try:
        return int(text)
    except ValueError:
        return text


def real(text: str) -> float | str:
    """Return a number; other text as it is, as `whole` does."""
    try:
        return float(text)
    except ValueError:
        return text
