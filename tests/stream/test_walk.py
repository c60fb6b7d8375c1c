import numpy as np
import pytest

from trendtrain.errors import InputError
from trendtrain.stream import Walk

MINUTE = np.timedelta64(1, "m").astype("timedelta64[ms]")


@pytest.mark.parametrize(
    ("warmup", "n_events", "n_epochs"), [(0, 1000, 0), (20, 1000, 10), (20, 1001, 11), (0.5, 100, 1), (1, 0, 0)]
)
def test_a_warm_up_draws_each_event_so_often(warmup: float, n_events: int, n_epochs: int) -> None:
    assert Walk(warmup=warmup).warmup_epochs(n_events, n_draws=2000) == n_epochs


@pytest.mark.parametrize(
    ("step", "minutes"), [("256bars", 256 * 5), ("1 bar", 5), ("6h", 360), ("1d", 1440), ("1D", 1440)]
)
def test_a_step_is_a_number_of_bars_or_a_time(step: str, minutes: int) -> None:
    assert Walk(step=step).length(5 * MINUTE) == minutes * MINUTE


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"step": "abc"}, "`walk.step` must be a length such as 256bars, 6h or 1d, got 'abc'"),
        ({"step": "0bars"}, "`walk.step` must be a length .*got '0bars'"),
        ({"step": "-1d"}, "`walk.step` must be a length .*got '-1d'"),
        ({"step": "1M"}, "`walk.step` must be a length .*got '1M'"),
        ({"step": 256}, "`walk.step` must be a length .*got 256"),
        ({"start": "soon"}, "`walk.start` must be a fraction from 0 to below 1, or a date .*got 'soon'"),
        ({"start": "2024-02-30"}, "`walk.start` must be a fraction .*got '2024-02-30'"),
        ({"start": 1.0}, "`walk.start` must be a fraction .*got 1.0"),
        ({"start": -0.1}, "`walk.start` must be a fraction .*got -0.1"),
        ({"start": float("nan")}, "`walk.start` must be a fraction .*got nan"),
        ({"start": None}, "`walk.start` must be a fraction .*got None"),
        ({"steps": 0}, "`walk.steps` must be an integer of at least 1, got 0"),
        ({"steps": 1.5}, "`walk.steps` must be an integer of at least 1, got 1.5"),
        ({"warmup": -1}, "`walk.warmup` must be a number of at least 0.0, got -1"),
        ({"warmup": "long"}, "`walk.warmup` must be a number of at least 0.0, got 'long'"),
        ({"batch_size": 0}, "`walk.batch_size` must be an integer of at least 1, got 0"),
    ],
)
def test_a_bad_walk_is_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Walk(**arguments)
