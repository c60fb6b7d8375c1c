"""Predictions waiting for, and judged by, delayed labels; pure numpy."""

from trendtrain.validation.change import ChangeDetector, events_since_drop
from trendtrain.validation.judged_prediction import JudgedPrediction, to_verdicts
from trendtrain.validation.live_judge import TrendJudge
from trendtrain.validation.online_logistic import KnownRows, OnlineLogistic, online_logistic
from trendtrain.validation.pending import Pending
from trendtrain.validation.predictions import Predictions, Verdicts
from trendtrain.validation.scoreboard import Scoreboard
from trendtrain.validation.simple_rules import BASELINE_NAMES, KnownDirections, SimpleRules, baseline_directions
from trendtrain.validation.stats import TrendStats
from trendtrain.validation.temperature import fit_temperature

__all__ = [
    "BASELINE_NAMES",
    "ChangeDetector",
    "JudgedPrediction",
    "KnownDirections",
    "KnownRows",
    "OnlineLogistic",
    "Pending",
    "Predictions",
    "Scoreboard",
    "SimpleRules",
    "TrendJudge",
    "TrendStats",
    "Verdicts",
    "baseline_directions",
    "events_since_drop",
    "fit_temperature",
    "online_logistic",
    "to_verdicts",
]
