"""The newest bars of each series of a run, with predictions and verdicts, as interactive charts."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np

from trendtrain.charts.bar_chart import Strip, bar_chart, bar_text, line_text
from trendtrain.charts.page import Part, safe, section
from trendtrain.errors import InputError, NotStoredError
from trendtrain.market.bars import Bars
from trendtrain.market.directions import DIRECTION_COLOURS, DIRECTION_WORDS, DOWN, FLAT, UP
from trendtrain.market.labels import label_bars
from trendtrain.market.lines import NO_LINES
from trendtrain.market.pivots import find_pivots
from trendtrain.market.rules import PivotRules
from trendtrain.market.timeframe import format_minute, parse_timeframe
from trendtrain.reports.run_file import RunFile
from trendtrain.storage.bars.store import BarStore
from trendtrain.storage.ledger.ledger import Ledger
from trendtrain.storage.ledger.newest import NO_CODE, NewestPredictions
from trendtrain.validation.predictions import CORRECT, VOID_FLAT, VOID_GAP, WRONG

_MOST_BARS: Final = 4_000  # of all series: with them a page stays below 8 MB
_MOST_BARS_EACH: Final = 1_500
_MOST_SERIES: Final = 8
_BEFORE: Final = 300  # bars read besides, so that the first pivots are those of the whole series
_PENDING: Final = -1
_VERDICTS: Final = {  # distinguishable with any kind of colour vision, also from the directions
    CORRECT: ("correct", "#009e73"),
    WRONG: ("wrong", "#c2528b"),
    _PENDING: ("pending", "var(--muted)"),
    VOID_FLAT: ("void", "#b8860b"),
}
_PREDICTED: Final = {code: (f"predicted {DIRECTION_WORDS[code]}", DIRECTION_COLOURS[code]) for code in (UP, DOWN, FLAT)}


def newest_bars(run: RunFile, ledger: Ledger, store: BarStore) -> Iterator[Part]:
    """Yield a chart of the newest bars of each series."""
    newest = [one for one in ledger.newest(run.name, _MOST_BARS_EACH) if len(one.rows)]
    if not newest:
        return
    shown = newest[:_MOST_SERIES]
    left = f" The first {_MOST_SERIES} of {len(newest)} series are shown." if len(newest) > len(shown) else ""
    yield section(
        "The newest bars",
        "Bars, pivots, trend lines, and below each bar its prediction and its verdict. Point at a bar to see"
        " the line that judged it, and when that line was known. Drag to zoom; double-click to go back, and once more"
        f" to see all.{left}",
    )
    for place, one in enumerate(shown):
        yield f"<details{'' if place else ' open'}><summary>{safe(' '.join(one.series))}</summary>"
        yield _bars_of(one, run.config, store, min(_MOST_BARS_EACH, _MOST_BARS // len(shown)))
        yield "</details>"


def _bars_of(newest: NewestPredictions, config: Mapping[str, Any], store: BarStore, n: int) -> Part:
    rows = newest.rows[-n:]
    made = rows["open_time"].astype("datetime64[ms]")
    timeframe = parse_timeframe(newest.series.timeframe)
    before = 2 * _BEFORE * timeframe  # some bars may be missing
    try:
        bars = store.load(*newest.series, start=made[0] - before, end=made[-1] + timeframe)
    except NotStoredError:
        return '<p class="note">The database no longer holds these bars.</p>'
    part = slice(int(np.searchsorted(bars.open_time, made[0])), len(bars))
    place = np.searchsorted(bars.open_time[part], made)
    direction, outcome = np.full((2, part.stop - part.start), NO_CODE)
    notes = [bar_text(bars, bar) for bar in range(part.start, part.stop)]
    for at, row in zip(place.tolist(), rows, strict=True):
        if at < len(notes) and bars.open_time[part.start + at] == row["open_time"].astype("datetime64[ms]"):
            direction[at] = row["direction"]
            is_void = row["outcome"] in (VOID_FLAT, VOID_GAP)
            outcome[at] = VOID_FLAT if is_void else _PENDING if row["outcome"] == NO_CODE else row["outcome"]
            notes[at] += f"\n{_note(row, bars, outcome[at])}"
    strips = [Strip("predicted", direction, _PREDICTED), Strip("verdict", outcome, _VERDICTS)]
    rules = _rules_of(config)
    lines = NO_LINES if rules is None else label_bars(bars, rules).lines
    return bar_chart(bars, find_pivots(bars, rules or PivotRules()), lines, part, strips, notes)


def _note(row: Any, bars: Bars, outcome: int) -> str:
    """Return a prediction, its verdict, and the line that judged it, in words."""
    said = f"predicted {DIRECTION_WORDS[int(row['direction'])]}, confidence {row['confidence']:.3f}"
    if outcome == _PENDING:
        return f"{said}\npending: no line has judged it yet"
    known_at = row["known_at"].astype("datetime64[ms]")
    later = round((known_at - row["open_time"].astype("datetime64[ms]")) / bars.timeframe) - 1
    word = _VERDICTS[outcome][0]
    if not row["kind"]:
        return f"{said}\n{word}, known {format_minute(known_at)}"
    times, prices = ((row[f"first_{name}"], row[f"last_{name}"]) for name in ("time", "price"))
    ends = [time.astype("datetime64[ms]") for time in times]
    line = line_text(str(row["kind"]), int(row["line_direction"]), ends, prices)
    return f"{said}\n{word}, judged by the {line}\nknown {format_minute(known_at)}, {later:,} bars later"


def _rules_of(config: Mapping[str, Any]) -> PivotRules | None:
    """Return the rules of a run's labels; None where a function of the user's own labels."""
    options = {name: value for name, value in (config.get("labels") or {}).items() if name != "_partial_"}
    if str(options.pop("_target_", "")).rpartition(".")[2] != label_bars.__name__:
        return None
    try:
        return PivotRules(**options)
    except (TypeError, InputError):
        return None
