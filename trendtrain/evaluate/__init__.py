"""Whether a model's accuracy has changed, how sure it may be, and what a simple learner reaches."""

from trendtrain.evaluate.change import ChangeDetector, events_since_drop
from trendtrain.evaluate.online_logistic import online_logistic
from trendtrain.evaluate.temperature import fit_temperature

__all__ = ["ChangeDetector", "events_since_drop", "fit_temperature", "online_logistic"]
