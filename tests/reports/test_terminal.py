import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from trendtrain.reports.terminal import Records, compared

WORDS = st.text("abc0123", min_size=1, max_size=30)


def printed(records: Records, width: int) -> str:
    file = io.StringIO()
    Console(file=file, width=width).print(records)
    return file.getvalue()


@given(st.lists(st.tuples(WORDS, WORDS, WORDS), min_size=1, max_size=9), st.integers(40, 140))
def test_no_width_loses_a_sign(rows: list[tuple[str, str, str]], width: int) -> None:
    text = printed(Records(("first", "second", "third"), rows), width)
    assert max(map(len, text.splitlines())) <= width
    signs = sorted(sign for row in rows for cell in row for sign in cell)
    names = ("first", "second", "third")
    n_tables = text.count("first")
    left = sorted(sign for sign in text if sign in "abc0123")
    expected = sorted([*signs, *[sign for name in names for sign in name * n_tables if sign in "abc0123"]])
    assert left == expected


def test_a_row_for_each_where_that_fits_and_a_column_for_each_otherwise() -> None:
    rows = [[f"row{i}", "1" * 20, "2" * 20] for i in range(3)]
    wide, narrow = (printed(Records(("name", "ones", "twos"), rows), width) for width in (80, 45))
    assert [line.split()[0] for line in wide.splitlines() if "row" in line] == ["row0", "row1", "row2"]
    assert [line.split() for line in narrow.splitlines() if "row" in line] == [["name", f"row{i}"] for i in range(3)]


def test_markup_in_a_cell_is_text() -> None:
    assert "[red]x" in printed(Records(("[b]a", "b"), [["[red]x", "y"]], title="[i]run"), 80)
    assert "[i]run" in printed(Records(("a", "b"), [["x", "y"]], title="[i]run"), 80)


@pytest.mark.parametrize(
    ("difference", "ci95"), [(0.02, (0.01, 0.03)), (-0.02, (-0.03, -0.01))], ids=["better", "worse"]
)
def test_no_sign_flips_inside_a_sentence(difference: float, ci95: tuple[float, float]) -> None:
    word = "better" if difference > 0 else "worse"
    assert compared(difference, ci95, "better", "worse", "") == f"{word} by 0.0200 (95 % interval 0.0100 to 0.0300)"
