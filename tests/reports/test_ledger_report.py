import io

from rich.console import Console, RenderableType

from trendtrain.reports.ledger_report import comparison_table, info_table, stats_table
from trendtrain.storage.database_info import DatabaseInfo, RunInfo, SeriesInfo
from trendtrain.storage.ledger.compare import Comparison, Contestant, Pair
from trendtrain.storage.ledger.stats import LedgerStats
from trendtrain.validation import TrendStats

DAY = 86_400_000


def printed(table: RenderableType, width: int = 140) -> str:
    file = io.StringIO()
    Console(file=file, width=width).print(table)
    return file.getvalue()


def row_of(text: str, name: str) -> list[str]:
    return next(line.split() for line in text.splitlines() if line.strip().startswith(f"{name} "))


def test_stats_show_one_row_a_model_and_series() -> None:
    stats = TrendStats(validated=1500, correct=750, void=3, pending=40)
    text = printed(stats_table([LedgerStats("run-1", "CnnNet", "ETH", "5m", stats, 0.4, 77)]))
    assert "run run-1" in text
    numbers = ["77", "0.4000", "1,543", "1,500", "750", "0.5000", "40", "3"]
    assert row_of(text, "ETH") == ["ETH", "5m", "CnnNet", *numbers]


def test_stats_in_80_columns_lose_nothing() -> None:
    stats = TrendStats(validated=1_240_321, correct=650_123, void=12_345, pending=240)
    symbols = ["LTCUSDT-PERP", *(f"S{i}" for i in range(9))]
    rows = [LedgerStats("run-1", "CnnNet", one, "15m", stats, 0.4, 65_432, 0.0123, (0.3, 0.5), 0.61) for one in symbols]
    wide, narrow = (printed(stats_table(rows), width) for width in (140, 80))
    assert "…" not in narrow
    assert max(map(len, narrow.splitlines())) <= 80
    for value in (
        "65,432",
        "0.4000",
        "0.0123",
        "1,252,906",
        "1,240,321",
        "650,123",
        "0.5242",
        "240",
        "12,345",
        "0.6100",
    ):
        assert narrow.split().count(value) == wide.split().count(value) == len(rows)


def test_contents_in_80_columns_lose_nothing() -> None:
    series = [SeriesInfo("1000SHIBUSDT-PERP", "15m", 0, DAY, 12_345_678, 3_015, 246_913_560)]
    runs = [RunInfo("20261123-042634-98d870", "interrupted", 1999, 2000, 0, DAY, 1_234_567)]
    text = printed(info_table("sqlite:///a.db", "2", DatabaseInfo(series, runs, {})), width=80)
    for value in (
        "1000SHIBUSDT-PERP 15m",
        "12,345,678",
        "3,015",
        "246,913,560",
        "interrupted",
        "1,234,567",
        "20261123-042634-98d870",
    ):
        assert value in text
    assert text.count("1970-01-01 00:00") == 2
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= 80


def test_stats_without_verdicts_say_none_yet() -> None:
    text = printed(stats_table([LedgerStats("run-1", "CnnNet", "ETH", "5m", TrendStats(pending=4))]))
    row = ["ETH", "5m", "CnnNet", "0", "none", "yet", "4", "0", "0", "none", "yet", "4", "0"]
    assert row_of(text, "ETH") == row


def test_stats_are_a_table_a_run() -> None:
    rows = [LedgerStats(run, "CnnNet", "ETH", "5m", TrendStats(pending=4)) for run in ("a", "b")]
    text = printed(stats_table(rows))
    assert text.index("run a") < text.index("run b")
    assert text.count("CnnNet") == 2


def test_contents_show_series_runs_and_rows() -> None:
    series = [SeriesInfo("ETH", "5m", 0, DAY, 1000, 3, 24_000)]
    runs = [
        RunInfo("run-1", "failed", 4, 90, 0, DAY, 1234),
        RunInfo("run-2", "running", -1, None, DAY, DAY, None),
    ]
    text = printed(info_table("sqlite:///a.db", "2", DatabaseInfo(series, runs, {"series": 1, "lines": 5678})))
    assert "sqlite:///a.db, schema version 2" in text
    span = ["1970-01-01", "00:00", "1970-01-02", "00:00"]
    assert row_of(text, "ETH") == ["ETH", "5m", "1,000", *span, "3", "24,000", "24.0"]
    assert row_of(text, "run-1") == ["run-1", "failed", "5", "of", "90", *span, "1,234"]
    assert row_of(text, "run-2")[:3] == ["run-2", "running", "0"]
    assert "unknown" in text
    assert "rows: series 1, lines 5,678" in text


def test_an_empty_database_shows_no_empty_tables() -> None:
    text = printed(info_table("sqlite:///a.db", "2", DatabaseInfo([], [], {"series": 0})))
    assert text.split("\n") == ["sqlite:///a.db, schema version 2", "rows: series 0", ""]


def test_a_comparison_shows_runs_pairs_and_what_differs() -> None:
    runs = tuple(Contestant(run, "net", 0.5, 1234, 0.0123, (0.4, 0.6)) for run in ("a", "b", "c"))
    better, unclear = (0.02, 0.004, (0.01, 0.03), 30), (0.02, 0.02, (-0.02, 0.06), 30)
    pairs = tuple(
        Pair(run, "net", "a", "net", 567, 0.53, 0.51, *found) for run, found in (("b", better), ("c", unclear))
    )
    text = printed(comparison_table(Comparison(runs, pairs, {"seed": {"a": 0, "b": 1, "c": 2}})))
    assert row_of(text, "a") == ["a", "net", "1,234", "0.5000", "0.0123"]
    assert "compared with a net, on the events of both" in text
    assert "567      0.5300   0.5100      better by 0.0200 (95 % interval 0.0100 to 0.0300)" in text
    assert "no difference shown: +0.0200 (95 % interval -0.0200 to +0.0600)" in text
    assert "the runs differ in\nseed: 0, 1, 2\n" in text


def test_a_comparison_cuts_no_name_in_a_terminal_of_eighty_columns() -> None:
    names = ("20261123-073359-3c9f35", "20261123-073624-10119c")
    runs = tuple(Contestant(run, "DuelingQNet", 0.5, 1234, 0.0123, (0.4, 0.6)) for run in names)
    pair = Pair(names[1], "DuelingQNet", names[0], "DuelingQNet", 1234, 0.53, 0.51, 0.02, 0.02, (-0.02, 0.06), 30)
    text = printed(comparison_table(Comparison(runs, (pair,), {})), width=80)
    assert "…" not in text
    assert f"{names[1]} DuelingQNet 1,234  0.5300 0.5100" in text


def test_many_differences_are_counted() -> None:
    runs = (Contestant("a", "net", 0.5, 9, float("nan"), (float("nan"),) * 2),)
    differences = {f"key_{i:02}": {"a": 0, "b": 1} for i in range(15)}
    text = printed(comparison_table(Comparison(runs, (), differences)))
    assert "key_11: 0, 1\nand 3 more" in text


def test_names_are_shown_as_they_are() -> None:
    row = LedgerStats("run", "[red]net", "[b]X", "5m", TrendStats())
    assert "[red]net" in printed(stats_table([row]))
