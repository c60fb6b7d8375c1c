"""Charts of markets and scores; matplotlib is imported in this package alone.

- TensorBoard: `tensorboard` writes points and pictures, `run_page` describes the run, `walk_pictures` chooses and draws
  the figures.
- Figures: `score_charts` (calibration, confusion, hours, delays), `recent_chart` (the newest bars with predictions and
  verdicts), `label_plot` (a labelled series, for `trendtrain label --plot`).
- Shared by the figures: `candles` (bars, pivots and lines), `date_ticks` (dates on an axis of bars).
"""
