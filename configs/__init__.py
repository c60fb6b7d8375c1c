"""The configuration of `trendtrain train` and `live`, and the name that it gives a run."""

import uuid
from datetime import UTC, datetime

from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf


def make_run_name() -> str:
    """Return time, model and data or feed (where Hydra knows which were chosen), and what no other run has."""
    choices = HydraConfig.get().runtime.choices if HydraConfig.initialized() else {}
    source = "data" if choices.get("feed", "replay") == "replay" else "feed"
    chosen = [str(choices[group]).replace("/", "-") for group in ("model", source) if group in choices]
    return "-".join([f"{datetime.now(UTC):%Y%m%d-%H%M%S}", *chosen, uuid.uuid4().hex[:6]])


# Cached with each composed configuration: there it gives one name, however often it is asked.
OmegaConf.register_new_resolver("run_name", make_run_name, replace=True, use_cache=True)
