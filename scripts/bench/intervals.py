#!/usr/bin/env python
"""Count how often 95 % intervals hold the true accuracy, on simulated streams of events that depend on each other.

./scripts/bench/intervals.py [--streams 2000] [--events 300 1000 3000] [--json FILE]

`event-block` is ours. `events` takes events for independent, `predictions` takes predictions for it, as most tools do.
An honest interval holds the truth in 93 to 97 of 100 streams. `memory` is the correlation from one event of a series
to the next; real markets show that of 0.2 or less (see docs/scores.md).
"""

import argparse
from itertools import product
from pathlib import Path

from interval_streams import Design, coverage
from rows import Row, show_rows


def row_of(design: Design, n_streams: int) -> Row:
    ours, events, predictions = coverage(design, n_streams)
    return {
        "events a series": design.n_events,
        "series": design.n_series,
        "memory": design.memory,
        "event-block": ours,
        "events": events,
        "predictions": predictions,
        "honest": "yes" if 0.93 <= ours <= 0.97 else "NO",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, default=2000)
    parser.add_argument("--events", type=int, nargs="+", default=[300, 1000, 3000])
    parser.add_argument("--series", type=int, nargs="+", default=[1, 5])
    parser.add_argument("--memory", type=float, nargs="+", default=[0.0, 0.2, 0.5, 0.8, 0.9])
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    designs = (Design(*choice) for choice in product(options.events, options.series, options.memory))
    show_rows([row_of(design, options.streams) for design in designs], options.json)


if __name__ == "__main__":
    main()
