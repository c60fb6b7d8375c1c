"""Write text and interactive figures as one HTML page that needs no network, light or dark.

Plotly draws: it is maintained, has candlesticks, zoom and hover, and its JavaScript is one file that a page can hold.
"""

import html
import re
from collections.abc import Iterable, Sequence
from importlib.resources import files
from typing import Any, Final, TypeAlias

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

# Colours of a page by theme; figures name them `var(--ink)` and so on, and the page's script fills them in.
THEMES: Final = {
    "light": {
        "paper": "#ffffff",
        "card": "#f4f5f7",
        "ink": "#1c2024",
        "muted": "#555c64",
        "grid": "#dfe2e6",
        "link": "#00598c",
    },
    "dark": {
        "paper": "#111418",
        "card": "#1b2026",
        "ink": "#e8eaed",
        "muted": "#a9b1ba",
        "grid": "#343b44",
        "link": "#6fb7e9",
    },
}
CLEAR: Final = "rgba(0,0,0,0)"

Part: TypeAlias = str | go.Figure


def figure(data: Sequence[Any], **layout: Any) -> go.Figure:
    """Return a figure in the look of a page; its axes are `axis(...)`."""
    label = {"bgcolor": "var(--card)", "bordercolor": "var(--muted)", "align": "left", "namelength": -1}
    base: dict[str, Any] = {
        "template": "none",
        "height": 380,
        "font": {"family": "system-ui, sans-serif", "size": 14, "color": "var(--ink)"},
        "paper_bgcolor": CLEAR,
        "plot_bgcolor": CLEAR,
        "margin": {"l": 60, "r": 16, "t": 16, "b": 40},
        "hoverlabel": {**label, "font": {"color": "var(--ink)"}},
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "bgcolor": CLEAR},
        "uirevision": "keep",  # a change of the theme keeps the zoom
    }
    return go.Figure(data=data, layout={"xaxis": axis(), "yaxis": axis(), **base, **layout})


def axis(title: str = "", **options: Any) -> dict[str, Any]:
    """Return an axis in the look of a page."""
    grid = {"gridcolor": "var(--grid)", "linecolor": "var(--muted)", "zeroline": False}
    return {"title": {"text": title, "font": {"size": 14}, "standoff": 12}, "automargin": True, **grid, **options}


def page(title: str, parts: Sequence[Part]) -> str:
    """Return a page.

    Args:
        title: In the browser's tab, as plain text.
        parts: HTML and figures, from top to bottom.
    """
    charts = [part for part in parts if not isinstance(part, str)]
    number = iter(range(len(charts)))
    body = "\n".join(part if isinstance(part, str) else _place(part, next(number)) for part in parts)
    data = ",\n".join(chart.to_json() for chart in charts).replace("<", "\\u003c")  # no tag can end the script
    ours = files("trendtrain.charts")
    return _PAGE.format(
        title=html.escape(title),
        style=_themes() + ours.joinpath("page.css").read_text(),
        body=body,
        plotly=get_plotlyjs(),
        data=data,
        script=ours.joinpath("page.js").read_text(),
    )


def section(title: str, about: str) -> str:
    """Return a heading and what it is about."""
    return f'<h2>{safe(title)}</h2><p class="note">{safe(about)}</p>'


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], n_texts: int) -> str:
    """Return a table of HTML cells; all columns but the first `n_texts` are numbers."""
    looks = ["" if i < n_texts else ' class="number"' for i in range(len(heads))]
    head = "".join(f"<th{look}>{safe(name)}</th>" for name, look in zip(heads, looks, strict=True))
    body = "".join(
        f"<tr>{''.join(f'<td{look}>{cell}</td>' for cell, look in zip(row, looks, strict=True))}</tr>" for row in rows
    )
    return f'<div class="wide"><table><tr>{head}</tr>{body}</table></div>'


def coded(text: str) -> str:
    """Return plain text as HTML; what is in backticks becomes code."""
    return re.sub("`([^`]+)`", r"<code>\1</code>", safe(text))


def safe(text: str) -> str:
    """Return plain text as HTML."""
    return html.escape(text)


def _place(chart: go.Figure, number: int) -> str:
    return f'<div class="figure" id="figure-{number}" style="height:{chart.layout.height}px"></div>'


def _themes() -> str:
    """Return the colours as CSS: those of the system, unless the page's button has chosen a theme."""
    light, dark = (
        f":root{{}} {{{{ color-scheme: {name}; {' '.join(f'--{key}: {colour};' for key, colour in theme.items())} }}}}"
        for name, theme in THEMES.items()
    )
    system = f"{light.format('')}\n@media (prefers-color-scheme: dark) {{ {dark.format('')} }}"
    return "\n".join([system, light.format('[data-theme="light"]'), dark.format('[data-theme="dark"]'), ""])


# The policy lets a browser fetch nothing at all.
_PAGE: Final = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; \
script-src 'unsafe-inline'; img-src data: blob:">
<title>{title}</title>
<style>
{style}</style>
</head>
<body>
<button id="theme" type="button" title="Change between light and dark">light / dark</button>
{body}
<script>{plotly}</script>
<script type="application/json" id="figures">[{data}]</script>
<script>
{script}</script>
</body>
</html>
"""
