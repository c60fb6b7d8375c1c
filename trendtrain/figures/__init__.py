"""Pictures of markets and scores, by matplotlib, which is imported here alone (and in `trendtrain.plots`)."""
