"""Whether a model's accuracy has changed."""

from trendtrain.evaluate.change import ChangeDetector, events_since_drop

__all__ = ["ChangeDetector", "events_since_drop"]
