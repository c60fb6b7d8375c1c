"""Draw a part of a labelled series as an interactive page: `trendtrain label --plot FILE.html`."""

import html
from typing import Final

from trendtrain.charts.bar_chart import Strip, bar_chart, bar_text, line_text
from trendtrain.charts.page import page
from trendtrain.market.directions import DIRECTION_COLOURS, DIRECTION_WORDS, UNKNOWN
from trendtrain.market.labelled import Labelled
from trendtrain.market.lines import KIND_NAMES
from trendtrain.market.timeframe import format_minute

_LOOKS: Final = {code: (DIRECTION_WORDS[code], colour) for code, colour in DIRECTION_COLOURS.items()}


def label_page(labelled: Labelled, part: slice) -> str:
    """Return a page with a part of a labelled series; a pointer on a bar shows its label and the line that gives it."""
    labels, bars = labelled.labels, labelled.bars
    looks = _LOOKS | {UNKNOWN: ("not known yet", "var(--grid)")}
    strips = [Strip("label", labels.direction[part], looks)]
    event, known_at = labels.event, labels.known_at
    notes = [_note(labelled, bar, int(event[bar]), int(known_at[bar])) for bar in range(part.start, part.stop)]
    chart = bar_chart(bars, (labelled.highs, labelled.lows), labels.lines, part, strips, notes)
    first, last = (format_minute(bars.open_time[bar]) for bar in (part.start, part.stop - 1))
    title = f"{' '.join(labelled.series)}: pivots, trend lines and labels"
    about = f"{first} to {last} UTC, {part.stop - part.start:,} bars; {labelled.rules}."
    guide = "Point at a bar to see its label and the line that gives it. Drag to zoom, double-click to go back."
    return page(title, [f"<h1>{html.escape(title)}</h1><p>{html.escape(about)} {guide}</p>", chart])


def _note(labelled: Labelled, bar: int, event: int, known_at: int) -> str:
    about, labels = bar_text(labelled.bars, bar), labelled.labels
    if event < 0:
        return f"{about}\nno label{'' if known_at < 0 else ': a hole came before a line'}"
    lines = labels.lines
    times, prices = (lines.start_time, lines.end_time), (lines.first_price, lines.last_price)
    ends = ([time[event] for time in times], [price[event] for price in prices])
    line = line_text(KIND_NAMES[lines.kind[event]], int(lines.direction[event]), *ends)
    return f"{about}\nlabel: {line}\nknown {format_minute(labels.close_time[known_at])}, {known_at - bar} bars later"
