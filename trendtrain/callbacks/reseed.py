"""Give each step its own global random state, so that a resumed run draws what it would have drawn."""

import lightning.pytorch as pl
import numpy as np


class ReseedGenerators(pl.Callback):
    """Seed the global generators (dropout draws from them) from (seed, epoch, rank) when an epoch starts.

    Args:
        seed: The run's seed.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Seed them."""
        entropy = np.random.SeedSequence([self.seed, trainer.current_epoch, trainer.global_rank])
        pl.seed_everything(int(entropy.generate_state(1)[0]), verbose=False)
