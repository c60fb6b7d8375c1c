"""The process that trains (`live.trainer=process`): it learns from what another process stores.

`python -m trendtrain.live.trainer` is started by `trainer_process`, and reads from standard input what it has to do.
"""

import json
import logging
import os
import sys
import threading
from functools import partial
from typing import Any

import numpy as np
from omegaconf import DictConfig, OmegaConf

from trendtrain.data.datamodule import Live, PivotDataModule
from trendtrain.data.sources import StoredBars
from trendtrain.errors import EXIT_FAILED, EXIT_MISTAKE, EXIT_SIGTERM, InputError, StorageError
from trendtrain.live.log import LOG, logging_live
from trendtrain.live.predicted_bars import PredictedBars
from trendtrain.market.bars import Series
from trendtrain.market.timeframe import parse_timeframe
from trendtrain.storage.bars.store import BarStore
from trendtrain.storage.ledger.ledger import Ledger
from trendtrain.train import train


def main() -> int:
    """Train until the process that predicts ends: what it says is on standard input, which it holds open."""
    given = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    cfg = OmegaConf.create(given["config"])
    with logging_live(cfg.live.log):
        try:
            train(cfg, given["folder"], live=partial(_parts, cfg, given))
        except (InputError, StorageError) as error:
            logging.getLogger(LOG).error("the process that trains: %s", error, extra={"event": "trainer"})
            return EXIT_MISTAKE if isinstance(error, InputError) else EXIT_FAILED
    return 0


def _end_with_parent() -> None:
    """End as soon as standard input does; all that this process writes is whole at any moment."""
    sys.stdin.read()
    os._exit(EXIT_SIGTERM)


def _parts(cfg: DictConfig, given: dict[str, Any], store: BarStore) -> dict[str, Any]:
    """Return what the datamodule has in place of stored bars."""
    ledger, handover = Ledger(store.engine), cfg.callbacks.handover
    times = {Series(*names): None if at is None else np.datetime64(at, "ms") for *names, at in given["first"]}

    def make_feed(datamodule: PivotDataModule) -> PredictedBars:
        return PredictedBars(
            store,
            times,
            partial(ledger.newest_predicted, str(cfg.run.name), handover.model),
            np.datetime64(given["start"], "ms"),
            parse_timeframe(given["step"]),
            None if given["loaded_at"] is None else np.datetime64(given["loaded_at"], "ms"),
            cfg.live.max_bars,
            datamodule.raise_if_stopped,
        )

    live = Live(make_feed, cfg.live.max_batches, cfg.live.max_bars)
    return {"series": StoredBars(store, dict.fromkeys(times)), "live": live}


if __name__ == "__main__":
    sys.exit(main())
