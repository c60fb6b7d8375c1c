"""The tags of a step's scalars."""

from types import SimpleNamespace

from hypothesis import given
from hypothesis import strategies as st

from trendtrain.charts.tensorboard import points, step_scalars
from trendtrain.market import Series
from trendtrain.validation import TrendStats

NAMES = st.text(st.characters(codec="ascii", categories=("L", "N")), min_size=1, max_size=4)
STATS = TrendStats(validated=2, correct=1, pending=3)


@given(st.sets(st.tuples(NAMES, st.sampled_from(["5m", "1h"])), max_size=3), st.booleans())
def test_labels_without_a_name_make_no_tag_with_an_empty_part(named: set[tuple[str, str]], is_unnamed: bool) -> None:
    series = [Series(*one) for one in named] + [Series("", "")] * is_unnamed
    step = SimpleNamespace(scalars={"accuracy": 0.5}, series_stats=dict.fromkeys(series, STATS), replay={"bars": 9.0})
    tags = {value.tag: value.simple_value for value in points(step_scalars(step, {"event_accuracy": 0.5})).value}  # type: ignore[arg-type]
    of_series = {f"trend/{symbol}/{timeframe}/accuracy" for symbol, timeframe in named}
    assert tags["Skill/event_accuracy"] == tags["trend/event_accuracy"]
    assert set(tags) == {"Skill/event_accuracy", "trend/accuracy", "trend/event_accuracy", "replay/bars", *of_series}
    assert all(all(tag.split("/")) for tag in tags)
