"""What a model answered where verdicts came, kept small."""

from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from trendtrain.market.bars import BoolArray, IntArray
from trendtrain.validation.predictions import Verdicts

Float32Array = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Answers:
    """Predictions that were judged correct or wrong, 9 bytes each; what came of them the labels know.

    Attributes:
        row: The bar each was made at, int32, shape (n,).
        direction: What was predicted, int8, shape (n,).
        confidence: The chance given to it, float32, shape (n,).
    """

    row: IntArray
    direction: IntArray
    confidence: Float32Array

    def __len__(self) -> int:
        return len(self.row)

    def __getitem__(self, index: BoolArray) -> "Answers":
        return Answers(*(getattr(self, field.name)[index] for field in fields(self)))

    @staticmethod
    def of(verdicts: Verdicts) -> "Answers":
        """Keep of validated verdicts what the labels do not know."""
        predictions = verdicts.predictions
        confidence = predictions.confidence.astype(np.float32)
        return Answers(predictions.row.astype(np.int32), predictions.direction, confidence)

    @staticmethod
    def join(parts: list["Answers"]) -> "Answers":
        """Return all parts as one, in their order; of no parts, none."""
        if not parts:
            return Answers(np.zeros(0, np.int32), np.zeros(0, np.int8), np.zeros(0, np.float32))
        return Answers(*(np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(Answers)))
