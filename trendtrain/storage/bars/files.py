"""Write bars to a file that the importers read back to the bit."""

from pathlib import Path
from typing import Final

import pyarrow as pa
from pyarrow import csv, parquet

from trendtrain.errors import InputError
from trendtrain.market.bars import PRICES, Bars
from trendtrain.storage.whole_file import whole_file

BAR_ENDINGS: Final = (".parquet", ".csv")

_PLAIN: Final = csv.WriteOptions(quoting_style="none")  # no text of ours holds a comma


def write_bars(bars: Bars, path: Path) -> None:
    """Write bars as Parquet or CSV, by the file's ending; whole or not at all.

    Columns: `open_time` (UTC), `open`, `high`, `low`, `close`, `volume` (null where the source supplied none). Numbers
    in CSV have as many digits as give back the same float64.

    Args:
        bars: What to write.
        path: Where to. Its name, such as BTCUSDT_1m.csv, tells an import the series.

    Raises:
        InputError: If the ending is another, or the file cannot be written.

    Example:
        >>> from trendtrain.market import random_walk
        >>> write_bars(random_walk(10, seed=0), Path("walk.txt"))
        Traceback (most recent call last):
        trendtrain.errors.InputError: `--out` must end in .parquet or .csv, got walk.txt.
    """
    if path.suffix not in BAR_ENDINGS:
        raise InputError(f"`--out` must end in {' or '.join(BAR_ENDINGS)}, got {path}.")
    time = pa.array(bars.open_time).cast(pa.timestamp("ms", "UTC"))
    values = {name: getattr(bars, name) for name in PRICES}
    volume = pa.array(bars.volume, from_pandas=True)  # NaN as null
    table = pa.table({"open_time": time, **values, "volume": volume})
    with whole_file(path, "--out") as file:
        if path.suffix == ".csv":
            csv.write_csv(table, file, _PLAIN)
        else:
            parquet.write_table(table, file)
