"""The six counts of a stream of predictions."""

from dataclasses import dataclass


@dataclass(frozen=True)
class TrendStats:
    """Count predictions: validated (of which correct), void, and still pending.

    Example:
        >>> TrendStats(validated=4, correct=3, void=1, pending=2).as_dict()["total_predictions"]
        7
    """

    validated: int = 0
    correct: int = 0
    void: int = 0
    pending: int = 0

    @property
    def total(self) -> int:
        """All predictions made: validated + pending + void, by construction."""
        return self.validated + self.pending + self.void

    @property
    def accuracy(self) -> float:
        """The share of correct predictions among the validated; NaN before the first verdict."""
        return self.correct / self.validated if self.validated else float("nan")

    def __add__(self, other: "TrendStats") -> "TrendStats":
        return TrendStats(
            self.validated + other.validated,
            self.correct + other.correct,
            self.void + other.void,
            self.pending + other.pending,
        )

    def as_dict(self) -> dict[str, float]:
        """Return the six numbers under their public names."""
        return {
            "total_predictions": self.total,
            "validated_predictions": self.validated,
            "correct_predictions": self.correct,
            "accuracy": self.accuracy,
            "pending_validations": self.pending,
            "void_predictions": self.void,
        }
