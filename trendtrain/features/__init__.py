"""Causal features of bars."""

from trendtrain.features.bar import BarFeatures, bar_features, price_levels
from trendtrain.features.lookback import FeatureFunction, Lookback
from trendtrain.features.segmented import FeatureTracker, SegmentedFeatures, by_segment
from trendtrain.features.skill import SkillFeatures, skill_features
from trendtrain.features.volatility import VolatilityUnit, volatility_unit

__all__ = [
    "BarFeatures",
    "FeatureFunction",
    "FeatureTracker",
    "Lookback",
    "SegmentedFeatures",
    "SkillFeatures",
    "VolatilityUnit",
    "bar_features",
    "by_segment",
    "price_levels",
    "skill_features",
    "volatility_unit",
]
