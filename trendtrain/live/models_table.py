"""Show versions of models and tests of shadows in the terminal."""

from collections.abc import Sequence

from rich.box import SIMPLE
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from trendtrain.market.timeframe import format_minute
from trendtrain.storage.ledger.registry import ModelVersion, PromotionTest, active_run


def models_table(versions: Sequence[ModelVersion], tests: Sequence[PromotionTest]) -> RenderableType:
    """Return the versions that were kept, then the tests of shadows and which run is active."""
    table = Table("run", "model", "version", "predicted from", "to", "batches", "checkpoint", "why", box=SIMPLE)
    for one in versions:
        times = (format_minute(one.start_time), "now" if one.end_time is None else format_minute(one.end_time))
        file = "deleted" if one.checkpoint is None else escape(one.checkpoint)
        names = (escape(one.run_id), escape(one.model), str(one.version))
        table.add_row(*names, *times, f"{one.parameters:,}", file, one.reason)
    parts: list[RenderableType] = [table if versions else Text("no version was kept yet")]
    parts += [Text(f"{format_minute(one.tested_at)}  {test_line(one)}") for one in tests]
    active = active_run(tests)
    return Group(*parts, Text("no run was promoted" if active is None else f"active: {active}"))


def test_line(test: PromotionTest) -> str:
    """Return the result of a test in one line."""
    names = f"{test.run_id} {'replaces' if test.is_promoted else 'does not replace'} {test.against_run_id}"
    if test.low is None:
        return f"{names}: too few events to tell, {test.n_events:,} of both"
    low = f"at least {test.low:+.4f} with a confidence of {test.level:.4f}"
    return f"{names}: {test.difference:+.4f} event accuracy on {test.n_events:,} events of both, {low}"
