"""Predictions waiting for, and judged by, delayed labels; pure numpy."""

from trendtrain.validation.baselines import BASELINE_NAMES, baseline_directions
from trendtrain.validation.buffer import ValidationBuffer
from trendtrain.validation.judge import TrendJudge
from trendtrain.validation.judged import JudgedPrediction, to_verdicts
from trendtrain.validation.predictions import Predictions, Verdicts
from trendtrain.validation.scoreboard import Scoreboard
from trendtrain.validation.stats import TrendStats

__all__ = [
    "BASELINE_NAMES",
    "JudgedPrediction",
    "Predictions",
    "Scoreboard",
    "TrendJudge",
    "TrendStats",
    "ValidationBuffer",
    "Verdicts",
    "baseline_directions",
    "to_verdicts",
]
