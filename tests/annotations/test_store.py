from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from old_annotations import START, market
from sqlalchemy import Engine

from trendtrain.annotations import Annotation, AnnotationStore
from trendtrain.errors import InputError
from trendtrain.market import Bars
from trendtrain.market.directions import UP
from trendtrain.storage import BarStore, open_database

MINUTE = np.timedelta64(1, "m")
BARS = market("5m")


def at(minutes: float) -> np.datetime64:
    return START + np.timedelta64(int(60_000 * minutes), "ms")


def trade(entry: float = 500, leave: float = 600, annotation_id: str = "a1") -> Annotation:
    """A trade between two minutes after the start of the market."""
    return Annotation(annotation_id, "BTCUSDT", "5m", UP, at(entry), at(leave), 100.0, 101.0)


@pytest.fixture
def store(engine: Engine, tmp_path: Path) -> AnnotationStore:
    bar_store = BarStore(engine)
    for timeframe in ("5m", "1h"):
        bar_store.write("BTCUSDT", timeframe, market(timeframe))
    return AnnotationStore(tmp_path / "annotations", bar_store)


@pytest.fixture
def files(tmp_path: Path) -> AnnotationStore:
    """A store of which only the folder is used."""
    return AnnotationStore(tmp_path / "new" / "annotations", BarStore(None))  # type: ignore[arg-type]


# -- files ------------------------------------------------------------------------------------------------------------


def test_what_was_saved_is_listed_and_loaded(files: AnnotationStore) -> None:
    trades = [trade(annotation_id=name) for name in ("b", "a", "c")]
    for annotation in trades:
        files.save(annotation)
    assert files.ids() == ["a", "b", "c"]
    assert files.load_all() == sorted(trades, key=lambda annotation: annotation.annotation_id)


def test_a_saved_annotation_replaces_the_older(files: AnnotationStore) -> None:
    files.save(trade(leave=600))
    files.save(trade(leave=605))
    assert files.load_all() == [trade(leave=605)]


UNSAFE = [
    "../../up",
    "/etc/passwd",
    "BTC/USDT 2024-01-01 10:00:00",
    ".",
    "..",
    ".hidden",
    "a%2Fb",
    "naïve 📈",
    "a\nb",
    "a\0",
]


@pytest.mark.parametrize("name", UNSAFE)
def test_any_text_is_an_id_and_no_path(name: str, files: AnnotationStore) -> None:
    files.save(trade(annotation_id=name))
    assert [path.parent for path in files.folder.parent.rglob("*.json")] == [files.folder]
    assert files.ids() == [name]
    assert files.load(name).annotation_id == name


@given(names=st.lists(st.text(min_size=1, max_size=15), min_size=2, max_size=2, unique=True))
def test_two_ids_never_share_a_file(names: list[str]) -> None:
    store = AnnotationStore(Path("folder"), BarStore(None))  # type: ignore[arg-type]
    assert len({store.path(name) for name in names}) == 2


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("x" * 201, "`annotation_id` must fit a file name of 200 bytes, got 'xxx"),
        ("\ud800", r"`annotation_id` must be text, got '\\ud800'"),
    ],
)
def test_an_id_that_no_file_can_have_is_refused(name: str, message: str, files: AnnotationStore) -> None:
    with pytest.raises(InputError, match=message):
        files.save(trade(annotation_id=name))


def test_files_that_are_no_annotations_are_not_listed(files: AnnotationStore) -> None:
    files.save(trade())
    (files.folder / "readme.txt").write_text("mine")
    (files.folder / ".a1.json.17.partial").write_text("{")
    assert files.ids() == ["a1"]


def test_an_id_that_is_not_there_is_named(files: AnnotationStore) -> None:
    files.save(trade())
    with pytest.raises(InputError, match=r"must name an annotation in .*annotations, got 'b': No such file"):
        files.load("b")


def test_a_folder_that_is_not_there_is_named(files: AnnotationStore) -> None:
    with pytest.raises(InputError, match=r"`folder` must be a folder of annotations that exists, got .*annotations"):
        files.ids()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    store = AnnotationStore(tmp_path / "file" / "sub", BarStore(None))  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"`folder` must be a folder that can be made, got .*sub: Not a directory"):
        store.save(trade())


def test_a_broken_file_is_named(files: AnnotationStore) -> None:
    files.save(trade())
    files.path("a1").write_bytes(files.path("a1").read_bytes()[:50])
    with pytest.raises(InputError, match=r"a1\.json: an annotation file must hold JSON, got"):
        files.load_all()


def test_a_renamed_file_is_refused(files: AnnotationStore) -> None:
    files.save(trade())
    files.path("a1").rename(files.path("b1"))
    with pytest.raises(InputError, match=r"must be that of the file's name, 'b1', got 'a1'"):
        files.load("b1")


# -- bars -------------------------------------------------------------------------------------------------------------


def slow_bars(bars: Bars, annotation: Annotation, before: int, after: int) -> list[np.datetime64]:
    """Open times from the bar of the entry to that of the exit, with context, one by one."""

    def bar_of(moment: np.datetime64) -> int:
        return max(i for i, opened in enumerate(bars.open_time) if opened <= moment)

    assert annotation.exit_timestamp is not None
    first, last = bar_of(annotation.entry_timestamp), bar_of(annotation.exit_timestamp)
    return [bars.open_time[i] for i in range(first - before, last + after + 1) if 0 <= i < len(bars)]


@given(
    missing=st.sets(st.integers(0, 59), max_size=50),
    ends=st.tuples(st.integers(0, 59), st.integers(0, 59)).map(sorted),
    seconds=st.integers(0, 299),
    context=st.tuples(st.integers(0, 70), st.integers(0, 70)),
)
@settings(max_examples=100)
def test_bars_of_a_trade_are_those_between_its_ends_and_the_context_asked_for(
    missing: set[int], ends: list[int], seconds: int, context: tuple[int, int]
) -> None:
    kept = np.array([i not in missing - set(ends) for i in range(60)])
    whole = market("5m", 60)
    names = ("open_time", "open", "high", "low", "close", "volume")
    bars = Bars(*(getattr(whole, name)[kept] for name in names), whole.timeframe)
    engine = open_database("sqlite://")
    bar_store = BarStore(engine)
    bar_store.write("BTCUSDT", "5m", bars)
    annotation = trade(*(5 * end + seconds / 60 for end in ends))
    before, after = context
    loaded = AnnotationStore(Path("unused"), bar_store).bars(annotation, before=before, after=after)
    engine.dispose()
    assert loaded.open_time.tolist() == [time.item() for time in slow_bars(bars, annotation, before, after)]


def test_any_stored_timeframe_is_loaded(store: AnnotationStore) -> None:
    bars = store.bars(trade(500, 600), "60m", before=2, after=1)
    assert bars.timeframe == np.timedelta64(1, "h")
    assert (bars.open_time[0], bars.open_time[-1]) == (at(6 * 60), at(11 * 60))


def test_context_ends_where_the_series_ends(store: AnnotationStore) -> None:
    assert len(store.bars(trade(), before=10**6, after=10**6)) == len(BARS)


def test_context_lies_beyond_any_hole(engine: Engine) -> None:
    bar_store = BarStore(engine)
    bar_store.write("BTCUSDT", "5m", BARS[:3])
    bar_store.write("BTCUSDT", "5m", BARS[200:202])
    bar_store.write("BTCUSDT", "5m", BARS[397:])
    bars = AnnotationStore(Path("unused"), bar_store).bars(trade(1000, 1005), before=2, after=1)
    assert bars.open_time.tolist() == BARS.open_time[[1, 2, 200, 201, 397]].tolist()


def test_a_snapshot_that_ends_with_the_last_closed_bar_is_enough(engine: Engine) -> None:
    bar_store = BarStore(engine)
    bar_store.write("BTCUSDT", "5m", BARS[:101])
    bars = AnnotationStore(Path("unused"), bar_store).bars(trade(505, 505))
    assert bars.open_time.tolist() == [at(500).item()]


LACKING = {
    "before the first": (
        -60,
        600,
        "5m",
        "BTCUSDT 5m from 2023-12-31T23:00:00.000 to 2024-01-01T10:00:00.000, got none at 2023",
    ),
    "after the last": (500, 2010, "5m", "BTCUSDT 5m from .* to 2024-01-02T09:30:00.000, got none at 2024-01-02T09:30"),
    "nowhere near": (
        9000,
        9100,
        "5m",
        "BTCUSDT 5m from .*: `start` and `end` must hold bars of BTCUSDT 5m, stored from",
    ),
    "timeframe": (500, 600, "1m", "BTCUSDT 1m from .*: `symbol` and `timeframe` must name stored bars"),
}


@pytest.mark.parametrize("case", LACKING)
def test_a_trade_whose_bars_the_database_lacks_is_named(case: str, store: AnnotationStore) -> None:
    entry, leave, timeframe, message = LACKING[case]
    with pytest.raises(InputError, match=f"annotation 'a1' must find its bars in the database, {message}") as caught:
        store.bars(trade(entry, leave), timeframe)
    assert "\n" not in str(caught.value)


def test_a_hole_at_the_exit_is_no_exit(engine: Engine) -> None:
    bar_store = BarStore(engine)
    bar_store.write("BTCUSDT", "5m", BARS[:110])
    bar_store.write("BTCUSDT", "5m", BARS[200:])
    with pytest.raises(InputError, match="got none at 2024-01-01T10:00"):
        AnnotationStore(Path("unused"), bar_store).bars(trade(500, 600))


@pytest.mark.parametrize("context", [{"before": -1}, {"after": -1}, {"before": 1.5}])
def test_context_is_a_count(context: dict[str, int], store: AnnotationStore) -> None:
    (name,) = context
    with pytest.raises(InputError, match=f"`{name}` must be an integer of at least 0, got"):
        store.bars(trade(), **context)
