"""Charts of markets and scores; matplotlib and Plotly are imported in this package alone.

- TensorBoard: `tensorboard` writes points and pictures, `run_page` describes the run, `walk_pictures` chooses and draws
  the figures.
- Interactive pages: `page` (HTML, light and dark), `run_figures` (scores of a run), `bar_chart` (bars, pivots, lines,
  and strips below them), `label_page` (a labelled series); `run_text` says what a run promises.
- Figures: `score_charts` (rules, lead, calibration, confusion, hours, delays), `recent_chart` (the newest bars with
  predictions and verdicts), `label_plot` (a labelled series, for `trendtrain label --plot FILE.png`).
- Shared by the figures: `look` (dark or light), `candles` (bars, pivots and lines), `date_ticks` (dates on an axis).
"""
