import os
import re
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from trendtrain.cli import main
from trendtrain.importing import read_bars
from trendtrain.market import Bars, Labels, find_pivots, label_bars, synthetic_market

Write = Callable[..., Path]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def write() -> Write:
    """Write a file of synthetic bars into the folder the command runs in."""

    def write(name: str = "ETH_5m.csv", seed: int = 5, n: int = 400, **columns: str) -> Path:
        bars = synthetic_market(n, seed=seed)
        names = ("open_time", "open", "high", "low", "close", "volume")
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        table = pd.DataFrame({column: getattr(bars, column) for column in names} | columns)
        table.to_csv(name, index=False)
        return Path(name)

    return write


def label(*arguments: object) -> int:
    return main(["label", *map(str, arguments)])


def one_line(capfd: pytest.CaptureFixture[str]) -> str:
    """Return the one line on stderr."""
    error = capfd.readouterr().err
    assert error.startswith("trendtrain: error: ")
    assert error.count("\n") == 1
    return error


def names_in(folder: str = ".") -> set[str]:
    return {str(path.relative_to(folder)) for path in Path(folder).rglob("*") if path.is_file()}


def expected_rows(bars: Bars, labels: Labels) -> pd.DataFrame:
    """Write each bar's row by hand."""
    rows = []
    for bar in range(len(bars)):
        row = {"open_time": pd.Timestamp(bars.open_time[bar], tz="UTC"), "direction": labels.direction[bar]}
        event = labels.event[bar]
        if event >= 0:
            lines = labels.lines
            known_at = pd.Timestamp(bars.close_time[labels.known_at[bar]], tz="UTC")
            row |= {"known_at": known_at, "kind": ("L2H", "L2L")[lines.kind[event]]}
            names = ("first_bar", "last_bar", "first_price", "last_price", "slope")
            row |= {name: getattr(lines, name)[event] for name in names}
        rows.append(row)
    return pd.DataFrame(rows)


RULES: dict[str, tuple[list[str], dict[str, object]]] = {
    "the defaults": ([], {}),
    "three levels": (["--strength", "1", "2", "1"], {"strength": (1, 2, 1)}),
    "every option": (
        ["--strength", "2", "1", "--tie", "strict", "--inside", "skip", "--max-gap", "2", "--flat-band", "0.001"],
        {"strength": (2, 1), "tie": "strict", "inside": "skip", "max_gap": 2, "flat_band": 0.001},
    ),
}


@pytest.mark.parametrize("out", ["labels.parquet", "labels.csv"])
@pytest.mark.parametrize("case", RULES)
def test_a_file_holds_what_label_bars_returns(case: str, out: str, write: Write) -> None:
    options, rules = RULES[case]
    path = write()
    assert label(path, "--out", out, *options) == 0
    bars = read_bars(path)[1]
    expected = expected_rows(bars, label_bars(bars, **rules))  # type: ignore[arg-type]
    times = ["open_time", "known_at"]
    table = pd.read_parquet(out) if out.endswith(".parquet") else pd.read_csv(out, parse_dates=times)
    assert list(table.columns) == list(expected.columns)
    assert table["direction"].nunique() > 2
    table, expected = (t.astype(dict.fromkeys(times, "datetime64[ms, UTC]")) for t in (table, expected))
    pd.testing.assert_frame_equal(table, expected, check_dtype=False, check_exact=True)


def test_options_change_the_labels(write: Write) -> None:
    path = write()
    tables = []
    for options, _ in RULES.values():
        assert label(path, "--out", "out.parquet", *options) == 0
        tables.append(pd.read_parquet("out.parquet")["direction"].tolist())
    assert len({tuple(table) for table in tables}) == 3


# -- several files ----------------------------------------------------------------------------------------------------


def test_several_files_become_a_folder(write: Write) -> None:
    paths = [write("ETH_5m.csv"), write("sub/BTC_5m.csv", seed=6)]
    assert label(*paths, "--out", "new/labels") == 0
    assert names_in("new") == {"labels/ETH_5m.parquet", "labels/BTC_5m.parquet"}
    for path in paths:
        assert label(path, "--out", "one.parquet") == 0
        together = Path(f"new/labels/{path.stem}.parquet")
        assert together.read_bytes() == Path("one.parquet").read_bytes()


def test_a_folder_of_bars_becomes_a_folder_of_labels(write: Write) -> None:
    write("bars/ETH_5m.csv")
    write("bars/BTC_5m.csv", seed=6)
    assert label("bars", "--out", "labels", "--format", "csv") == 0
    assert names_in("labels") == {"ETH_5m.csv", "BTC_5m.csv"}


def test_a_folder_with_one_file_becomes_a_folder(write: Write) -> None:
    write("bars/ETH_5m.csv")
    assert label("bars", "--out", "labels") == 0
    assert names_in("labels") == {"ETH_5m.parquet"}


def test_a_folder_with_one_file_can_become_a_file(write: Write) -> None:
    write("bars/ETH_5m.csv")
    assert label("bars", "--out", "labels.csv") == 0
    assert Path("labels.csv").is_file()


def test_one_file_goes_into_a_folder_that_exists(write: Write) -> None:
    Path("labels.v2").mkdir()
    assert label(write(), "--out", "labels.v2") == 0
    assert names_in("labels.v2") == {"ETH_5m.parquet"}


def test_a_slash_in_a_symbol_makes_no_folder(write: Write) -> None:
    paths = [write("a.csv", symbol="ETH/USDT"), write("b.csv", seed=6, symbol="BTC/USDT")]
    assert label(*paths, "--out", "labels") == 0
    assert names_in("labels") == {"ETH-USDT_5m.parquet", "BTC-USDT_5m.parquet"}


def test_one_series_in_two_files_is_refused(write: Write, capfd: pytest.CaptureFixture[str]) -> None:
    paths = [write("a/ETH_5m.csv"), write("b/ETH_5m.csv", seed=6)]
    assert label(*paths, "--out", "labels") == 2
    assert "`path` must hold each series once, got ETH_5m in a/ETH_5m.csv and b/ETH_5m.csv." in one_line(capfd)
    assert not Path("labels").exists()


def test_one_bad_file_leaves_nothing_written(write: Write, capfd: pytest.CaptureFixture[str]) -> None:
    good, bad = write("A_5m.csv"), Path("B_5m.csv")
    bad.write_text("time,open\n1,2\n")
    assert label(good, bad, "--out", "labels") == 2
    assert "B_5m.csv" in one_line(capfd)
    assert not Path("labels").exists()


# -- odd layouts ------------------------------------------------------------------------------------------------------


def test_times_count_in_the_zone_that_is_given(write: Write, capfd: pytest.CaptureFixture[str]) -> None:
    path = write()
    bars = pd.read_csv(path)
    bars["open_time"] = pd.to_datetime(bars["open_time"]).dt.strftime("%m/%d/%Y %H:%M")
    bars.loc[len(bars)] = ["01/31/2020 00:00", *bars.iloc[-1, 1:]]  # shows which number is the day
    bars.to_csv(path, index=False)
    assert label(path, "--out", "o.csv") == 2
    assert "`timezone` must say the zone of times in a local form, such as America/New_York" in one_line(capfd)
    assert label(path, "--out", "utc.csv", "--timezone", "UTC") == 0
    assert label(path, "--out", "chicago.csv", "--timezone", "America/Chicago") == 0
    utc, chicago = (pd.read_csv(name, parse_dates=["open_time"]) for name in ("utc.csv", "chicago.csv"))
    assert set(chicago["open_time"] - utc["open_time"]) == {pd.Timedelta("6h")}
    assert (chicago["direction"] == utc["direction"]).all()


def test_the_layout_may_be_given(write: Write, capfd: pytest.CaptureFixture[str]) -> None:
    path = write()
    bars = pd.read_csv(path).iloc[:, [0, 1, 4, 2, 3, 5]]  # open, close, high, low: as Bitfinex has them
    bars["open_time"] = pd.to_datetime(bars["open_time"]).astype("datetime64[ms]").astype("int64")
    bars.to_csv("B_5m.csv", index=False, header=False)
    assert label("B_5m.csv", "--out", "o.csv", "--layout", "freqtrade") == 2
    assert "`high` must be at least `low`" in one_line(capfd)
    assert label("B_5m.csv", "--out", "o.csv", "--layout", "bitfinex") == 0
    assert label(path, "--out", "e.csv") == 0
    assert Path("o.csv").read_text() == Path("e.csv").read_text()


# -- what stands there already ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("out", ["bars", "bars/ETH_5m.csv", "link.csv"])
def test_bars_are_never_replaced_by_their_labels(out: str, write: Write, capfd: pytest.CaptureFixture[str]) -> None:
    path = write("bars/ETH_5m.csv")
    Path("link.csv").symlink_to(path)
    before = path.read_bytes()
    assert label("bars", "--out", out, "--format", "csv") == 2
    assert "`--out` must not replace a file of bars, got" in one_line(capfd)
    assert path.read_bytes() == before


@pytest.mark.parametrize("out", ["labels.parquet", "labels.csv"])
def test_a_full_disk_leaves_the_old_file_and_nothing_half_written(out: str, write: Write) -> None:
    path = write()
    Path(out).write_text("the old labels")
    code = "import sys; from trendtrain.cli import main; sys.exit(main(sys.argv[1:]))"

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))

    done = subprocess.run(
        [sys.executable, "-c", code, "label", str(path), "--out", out],
        preexec_fn=limit,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert f"to {out} failed: File too large." in done.stderr
    assert done.stderr.count("\n") == 1
    assert Path(out).read_text() == "the old labels"
    assert names_in() == {"ETH_5m.csv", out}


def test_a_folder_that_cannot_be_made_is_one_line(write: Write, capfd: pytest.CaptureFixture[str]) -> None:
    paths = [write("A_5m.csv"), write("B_5m.csv")]
    Path("file").touch()
    assert label(*paths, "--out", "file/labels") == 2
    assert "`--out` must be a folder that can be made, got file/labels: Not a directory." in one_line(capfd)


def test_labels_replace_older_ones(write: Write) -> None:
    path = write()
    assert label(path, "--out", "out.parquet", "--strength", "3", "2") == 0
    before = Path("out.parquet").read_bytes()
    assert label(path, "--out", "out.parquet") == 0
    assert Path("out.parquet").read_bytes() != before
    assert names_in() == {"ETH_5m.csv", "out.parquet"}


# -- the report -------------------------------------------------------------------------------------------------------


def row_of(text: str, name: str) -> list[str]:
    (row,) = (line for line in text.splitlines() if line.strip().startswith(name))
    return row.split()


def test_the_report_counts_what_is_in_the_file(write: Write, capfd: pytest.CaptureFixture[str]) -> None:
    path = write(n=1200)
    assert label(path, "--out", "out.parquet", "--strength", "1", "1", "1", "--flat-band", "0.0005") == 0
    printed = capfd.readouterr().out
    bars, table = read_bars(path)[1], pd.read_parquet("out.parquet")
    pivots = find_pivots(bars, strength=(1, 1, 1))
    levels = [f"{(pivots[0].level == m).sum():,}+{(pivots[1].level == m).sum():,}" for m in (1, 2, 3)]
    known = table[table["direction"] >= 0]
    shares = [f"{(known['direction'] == code).mean():.1%}" for code in (1, 0, 2)]
    row = {time: bar for bar, time in enumerate(table["open_time"] + pd.Timedelta("5min"))}
    delays = sorted(row[time] - bar for bar, time in known["known_at"].items())
    quantiles = [str(next(d for i, d in enumerate(delays, 1) if i >= q * len(delays))) for q in (0.5, 0.95)]
    n_lines = sum((p.level == 2).sum() - 1 for p in pivots)
    n_events = len(known[["kind", "first_bar"]].drop_duplicates())
    expected = ["ETH", "5m", "1,200", *levels, str(n_lines), f"{len(known) / 1200:.1%}", *shares, *quantiles]
    assert row_of(printed, "ETH 5m") == [*expected, str(n_events)]
    assert "0.0%" not in shares
    assert "written: out.parquet" in printed


def test_the_report_has_a_row_a_file(write: Write, capfd: pytest.CaptureFixture[str]) -> None:
    label(write("A_5m.csv"), write("B_5m.csv", n=500), "--out", "labels")
    printed = capfd.readouterr().out
    assert row_of(printed, "A 5m")[2] == "400"
    assert row_of(printed, "B 5m")[2] == "500"


def test_bars_without_any_line_have_no_shares_yet(write: Write, capfd: pytest.CaptureFixture[str]) -> None:
    assert label(write(n=5), "--out", "out.csv") == 0
    printed = capfd.readouterr().out
    assert "nan" not in printed
    assert row_of(printed, "ETH 5m")[6:] == ["0.0%", *["none", "yet"] * 5, "0"]


def test_a_path_with_brackets_is_shown_as_it_is(write: Write, capfd: pytest.CaptureFixture[str]) -> None:
    assert label(write(), "--out", "run[1].csv") == 0
    assert "written: run[1].csv" in capfd.readouterr().out


# -- mistakes ---------------------------------------------------------------------------------------------------------

MISTAKES: list[tuple[str, str]] = [
    ("--out o.txt", "`--out` must end in .parquet or .csv, got o.txt"),
    ("--out o", "`--out` must end in .parquet or .csv, got o"),
    ("B_5m.csv --out o.csv", "`--out` must be a folder for 2 files (a name without an ending), got o.csv"),
    ("B_5m.csv --out o --format xls", "`--format` must be one of parquet, csv, got 'xls'"),
    ("--out o.csv --format parquet", "`--format` must agree with the ending of `--out`, got parquet for o.csv"),
    ("nowhere.csv --out o", "`path` must name a file or folder that exists, got nowhere.csv"),
    ("--out o.csv --strength 1", "`strength` must have at least two levels for labels, got (1,)"),
    ("--out o.csv --strength 1 0", "`strength` must be an integer of at least 1, got 0"),
    ("--out o.csv --strength 1 x", "`strength` must be an integer of at least 1, got 'x'"),
    ("--out o.csv --strength 1 1.5", "`strength` must be an integer of at least 1, got '1.5'"),
    ("--out o.csv --tie foo", "`tie` must be one of plateau, strict, got 'foo'"),
    ("--out o.csv --inside foo", "`inside` must be one of keep, skip, got 'foo'"),
    ("--out o.csv --max-gap -1", "`max_gap` must be an integer of at least 0, got -1"),
    ("--out o.csv --max-gap x", "`max_gap` must be an integer of at least 0, got 'x'"),
    ("--out o.csv --flat-band -1", "`flat_band` must be a number of at least 0.0, got -1.0"),
    ("--out o.csv --flat-band x", "`flat_band` must be a number of at least 0.0, got 'x'"),
    ("--out o.csv --flat-band nan", "`flat_band` must be a number of at least 0.0, got nan"),
    ("--out o.csv --timeframe 1h", "`--timeframe` is 1h, but the bars are 5m"),
    ("--out o.csv --timeframe x", "`timeframe` must look like 1s, 5m, 1h, 1d or 1w, got 'x'"),
    ("--out o.csv --layout x", "`layout` must be one of lean, binance, "),
    (
        "--out o.csv --timezone Mars",
        "`timezone` must name a time zone, such as UTC, EET or America/New_York, got 'Mars'",
    ),
    ("--out o.csv --plot-bars 5", "`--plot-bars` must come with `--plot`, got 5 alone"),
    ("--out o.csv --plot-start 2020-01-01", "`--plot-start` must come with `--plot`, got 2020-01-01 alone"),
    ("B_5m.csv --out o --plot p.png", "`--plot` must have one file of bars, got 2"),
    ("--out o.csv --plot p.svg", "`--plot` must end in .png or .html, got p.svg"),
    ("--out o.csv --plot p.png --plot-bars 0", "`--plot-bars` must be an integer of at least 1, got 0"),
    ("--out o.csv --plot p.png --plot-bars x", "`--plot-bars` must be an integer of at least 1, got 'x'"),
    ("--out o.csv --plot p.png --plot-bars 3001", "`--plot-bars` must be at most 3000, got 3001"),
    ("--out o.csv --plot p.png --plot-start soon", "`--plot-start` must be an ISO time such as"),
    ("--out o.csv --plot p.png --plot-start 2030-01-01", "`--plot-start` must not lie after the last bar"),
]


@pytest.mark.parametrize(("arguments", "message"), MISTAKES)
def test_a_mistake_is_one_line_and_writes_nothing(
    arguments: str, message: str, write: Write, capfd: pytest.CaptureFixture[str]
) -> None:
    write("A_5m.csv")
    write("B_5m.csv")
    assert label("A_5m.csv", *arguments.split()) == 2
    assert message in one_line(capfd)
    assert names_in() == {"A_5m.csv", "B_5m.csv"}
    assert not Path("o").exists()


def test_a_plot_that_cannot_be_written_is_one_line(write: Write, capfd: pytest.CaptureFixture[str]) -> None:
    assert label(write(), "--out", "o.csv", "--plot", "nowhere/p.png") == 2
    message = "`--plot` must be a file that can be written, got nowhere/p.png: No such file or directory."
    assert message in one_line(capfd)


# -- matplotlib -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "first", "n_bars"),
    [
        ((), 100, 300),
        (("--plot-bars", 1000), 0, 400),
        (("--plot-bars", 50), 350, 50),
        (("--plot-bars", 50, "--plot-start", "{time}"), 123, 50),
        (("--plot-bars", 50, "--plot-start", "{before}"), 123, 50),
        (("--plot-bars", 500, "--plot-start", "{time}"), 123, 277),
    ],
)
def test_a_plot_shows_the_bars_asked_for(options: tuple[object, ...], first: int, n_bars: int, write: Write) -> None:
    bars = read_bars(write())[1]
    time = bars.open_time[123]
    names = {"time": time, "before": time - np.timedelta64(1, "ms")}
    assert (
        label("ETH_5m.csv", "--out", "o.csv", "--plot", "p.html", *(str(one).format(**names) for one in options)) == 0
    )
    page = Path("p.html").read_text()
    numbers = [int(number) for number in re.findall(r"UTC, bar (\d+)\\u003cbr", page)]
    assert numbers == list(range(first, first + n_bars))


@pytest.mark.parametrize("suffix", ["png", "html"])
def test_a_plot_is_written_beside_the_labels(suffix: str, write: Write, capfd: pytest.CaptureFixture[str]) -> None:
    plot = f"p.{suffix}"
    assert (
        label(write(), "--out", "o.csv", "--plot", plot, "--plot-bars", "50", "--plot-start", "2020-01-01T06:00") == 0
    )
    assert names_in() == {"ETH_5m.csv", "o.csv", plot}
    assert f"written: {plot}" in capfd.readouterr().out


def run_python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)


def test_matplotlib_is_not_imported_without_a_plot(write: Write) -> None:
    code = (
        "import sys; from trendtrain.cli import main; code = main(sys.argv[1:]); "
        "sys.exit(code or len({'matplotlib', 'torch', 'lightning', 'hydra'} & set(sys.modules)))"
    )
    done = run_python(code, "label", str(write()), "--out", "o.parquet")
    assert (done.returncode, done.stderr) == (0, "")


def test_labels_need_no_matplotlib_and_plots_say_how_to_get_it(write: Write) -> None:
    code = "import sys; sys.modules['matplotlib'] = None; from trendtrain.cli import main; sys.exit(main(sys.argv[1:]))"
    path = str(write())
    assert run_python(code, "label", path, "--out", "o.parquet").returncode == 0
    done = run_python(code, "label", path, "--out", "o.csv", "--plot", "p.png")
    message = "`--plot` must find matplotlib for a .png, got none: pip install trendtrain[plot], or take .html."
    assert (done.returncode, done.stderr) == (2, f"trendtrain: error: {message}\n")
    assert not Path("o.csv").exists()
    assert run_python(code, "label", path, "--out", "o.csv", "--plot", "p.html").returncode == 0
