"""The configuration of `trendtrain train`, and the name that it gives a run."""

import uuid
from datetime import UTC, datetime

from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf


def make_run_name() -> str:
    """Return time, model and data (where Hydra knows which were chosen), and what no other run has."""
    choices = HydraConfig.get().runtime.choices if HydraConfig.initialized() else {}
    chosen = [str(choices[group]).replace("/", "-") for group in ("model", "data") if group in choices]
    return "-".join([f"{datetime.now(UTC):%Y%m%d-%H%M%S}", *chosen, uuid.uuid4().hex[:6]])


# Cached with each composed configuration: there it gives one name, however often it is asked.
OmegaConf.register_new_resolver("run_name", make_run_name, replace=True, use_cache=True)
