"""Whether a model's accuracy has changed, and what a simple learner reaches."""

from trendtrain.evaluate.change import ChangeDetector, events_since_drop
from trendtrain.evaluate.online_logistic import online_logistic

__all__ = ["ChangeDetector", "events_since_drop", "online_logistic"]
