"""Causal features of bars."""

from trendtrain.features.bar import FeatureFunction, bar_features, price_levels, skill_features, volatility_unit

__all__ = ["FeatureFunction", "bar_features", "price_levels", "skill_features", "volatility_unit"]
