import numpy as np
import pytest

from trendtrain.charts import run_figures
from trendtrain.charts.run_figures import COLOURS
from trendtrain.validation.edge import Course

NAN = float("nan")


def course(low: float = -0.1) -> Course:
    time = np.array(["2024-01-01", "2024-02-01"], "datetime64[ms]")
    return Course(time, np.array([0.1, 0.2]), np.array([NAN, low]), np.array([NAN, 0.3]))


def history(n: int = 40) -> dict[str, np.ndarray]:
    steps = np.arange(n, dtype=float)
    return {
        "step": steps,
        "now": steps * 86_400_000,
        "validated": 10 * (steps + 1),
        "correct": 6 * (steps + 1),
        "wrong_in_memory": np.where(steps < 3, NAN, 0.25),
        "wrong_in_draws": np.where(steps < 3, NAN, 0.5),
        "alarm_step": np.array([5.0, 9.0]),
        "alarm_now": np.array([5.0, 9.0]) * 86_400_000,
        "alarm_events_kept": np.array([30.0, 40.0]),
        "alarm_is_cut": np.array([0.0, 1.0]),
    }


def test_the_lead_has_its_interval_where_there_is_one() -> None:
    figure = run_figures.draw_edge(course(), course(0.05), "newest 8 blocks", history())
    low, high, mean, *window = figure.data
    assert len(low.x) == 1
    assert list(low.y) == [-0.1]
    assert list(high.y) == [0.3]
    assert list(mean.y) == [0.1, 0.2]
    assert [trace.yaxis for trace in window] == ["y2"] * 3


def test_a_change_that_was_noticed_is_marked_and_a_cut_looks_different() -> None:
    shapes = run_figures.draw_edge(course(), course(), "window", history()).layout.shapes
    marks = {shape.x0[:10]: (shape.name, shape.line.dash) for shape in shapes if shape.yref == "paper"}
    noticed, cut = ("change noticed", "dash"), ("change noticed, memory cut", "solid")
    assert marks == {"1970-01-06": noticed, "1970-01-10": cut}


def test_the_model_and_each_rule_have_their_name_and_their_own_colour() -> None:
    names = ["model", "majority", "persistence", "reversal", "ema_reversal", "online_logistic"]
    figure = run_figures.draw_rules(dict.fromkeys(names, course()))
    assert [trace.name for trace in figure.data] == names
    assert [trace.line.color for trace in figure.data] == list(COLOURS[: len(names)])


def test_a_cell_shows_its_accuracy_and_tells_its_error_and_events() -> None:
    groups = {"A 5m": {"1": {"event_accuracy": 0.625, "accuracy_se": 0.02, "n_events": 1200}}, "B 5m": {}}
    (cells,) = run_figures.draw_groups(groups, ["1", "2"], "hour").data
    np.testing.assert_array_equal(cells.z, [[0.625, NAN], [NAN, NAN]])
    assert cells.text[0][0] == "62"
    assert cells.hovertext[0][0] == "A 5m, 1<br>event accuracy 0.625 ± 0.020, 1,200 events"
    assert cells.colorscale[1] == (0.5, "var(--card)")  # one half has no colour, in either theme


def test_many_columns_show_no_text() -> None:
    groups = {"A": {"1": {"event_accuracy": 0.6, "accuracy_se": NAN, "n_events": 2}}}
    (cells,) = run_figures.draw_groups(groups, [str(i) for i in range(60)], "month").data
    assert cells.texttemplate is None


def test_reliability_ends_at_0_and_1_and_leaves_empty_bins_out() -> None:
    reliability = {
        "low": [0.5, 0.6, 0.7],
        "high": [0.6, 0.7, 0.8],
        "share": [0.75, 0.0, 0.25],
        "confidence": [0.55, NAN, 0.75],
        "accuracy": [0.5, NAN, 0.98],
        "accuracy_se": [0.02, NAN, 0.1],
    }
    _, points, counts = run_figures.draw_reliability(reliability, 400).data
    assert list(points.y) == [0.5, 0.98]
    assert points.error_y.array[1] == pytest.approx(0.02)
    assert points.error_y.arrayminus[1] == pytest.approx(0.196)
    assert list(counts.y) == [300, 100]


def test_delays_add_up_to_all_but_the_longest() -> None:
    counts = np.bincount(np.arange(1000) % 50)
    bars, median, most = run_figures.draw_delays(counts, 25.0, 47.0).data
    assert sum(bars.y) == pytest.approx(1.0, abs=0.005)
    assert (median.name, most.name) == ("median, 25 bars", "95 %, 47 bars")
    wide = run_figures.draw_delays(np.ones(1000, np.int64), 500.0, 950.0).data[0]
    assert len(wide.y) <= 80


def test_live_accuracy_is_that_of_the_window_and_not_of_all_so_far() -> None:
    held = history()
    held["correct"] = np.cumsum(np.where(held["step"] < 20, 2.0, 8.0))
    memory, _, live = run_figures.draw_replay(held).data
    assert live.y[5] == pytest.approx(0.8)
    assert live.y[-1] == pytest.approx(0.2)
    assert np.isnan(memory.y[:3]).all()
    assert memory.y[-1] == pytest.approx(0.25)


def test_replay_shows_memory_draws_and_live() -> None:
    last = {trace.name: trace.y[-1] for trace in run_figures.draw_replay(history()).data}
    assert last == pytest.approx({"in the memory": 0.25, "in the draws": 0.5, "live, when judged": 0.4})


def test_steps_without_a_verdict_have_no_live_accuracy() -> None:
    held = history()
    held["validated"][:] = held["correct"][:] = 0.0
    assert np.isnan(run_figures.draw_replay(held).data[2].y).all()
