import copy
import pickle
from dataclasses import fields
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from law_checks import assert_same, assert_same_fields

from trendtrain.market import Labels, Lines, Pivots, find_pivots, label_bars, synthetic_market
from trendtrain.market.merge import merge_order

BARS = synthetic_market(3000, seed=0)
ascending = st.lists(st.integers(0, 200_000), max_size=30).map(sorted)


def tables() -> list[Pivots | Lines | Labels]:
    labels = label_bars(BARS)
    return [*find_pivots(BARS), labels.lines, labels]


@pytest.mark.parametrize("which", range(4))
@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda table: pickle.loads(pickle.dumps(table))])
def test_a_table_made_on_demand_can_be_copied_and_pickled(which: int, copied: Any) -> None:
    again, table = copied(tables()[which]), tables()[which]
    for field in fields(table):
        one, other = getattr(again, field.name), getattr(table, field.name)
        if isinstance(one, Lines):
            assert_same_fields(one, other)
        elif isinstance(one, np.ndarray):
            assert_same(one, other)
        else:
            assert one == other


@pytest.mark.parametrize("which", range(4))
def test_a_table_has_no_column_but_its_own(which: int) -> None:
    with pytest.raises(AttributeError, match="has no attribute 'colour'"):
        _ = tables()[which].colour  # type: ignore[union-attr]


@given(st.lists(ascending, max_size=4))
def test_merging_keeps_the_order_of_equals(parts: list[list[int]]) -> None:
    joined = np.array([value for part in parts for value in part], dtype=np.int64)
    order = merge_order([np.array(part, dtype=np.int64) for part in parts])
    assert order.tolist() == np.argsort(joined, kind="stable").tolist()
