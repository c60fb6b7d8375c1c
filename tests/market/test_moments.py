from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest

from trendtrain.errors import InputError
from trendtrain.market.moments import Moment, to_milliseconds

EXPECTED = 1_704_067_200_000


@pytest.mark.parametrize(
    "moment",
    [
        "2024-01-01",
        "2024-01-01T00:00:00Z",
        " 2024-01-01 01:00+01:00 ",
        np.datetime64("2024-01-01"),
        datetime(2024, 1, 1),
        datetime(2024, 1, 1, tzinfo=UTC),
        datetime(2024, 1, 1, 2, tzinfo=timezone(timedelta(hours=2))),
    ],
)
def test_every_way_to_write_a_moment_means_utc(moment: Moment) -> None:
    assert to_milliseconds("start", moment) == EXPECTED


def test_text_that_is_no_time_is_refused() -> None:
    with pytest.raises(InputError, match=r"`start` must be an ISO time such as .*, got 'yesterday'"):
        to_milliseconds("start", "yesterday")


def test_nat_is_refused() -> None:
    with pytest.raises(InputError, match="`end` must be a time, got NaT"):
        to_milliseconds("end", np.datetime64("NaT"))
