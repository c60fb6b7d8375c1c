"""A classifier outside Lightning that predicts bar by bar; the five lines marked `# +` judge it on delayed labels.

python examples/sklearn_judge.py

The classifier is written out in numpy, so that nothing needs installing; any object with `predict_proba` does, such as
scikit-learn's `LogisticRegression`. With `LedgerJudge(ledger, "live")` in place of `TrendJudge()`, from
`trendtrain.storage`, everything is kept in a database, and a restart continues from it.
"""

import numpy as np

from trendtrain.market import planted_market as read_bars  # stands in for your own bars
from trendtrain.validation import TrendJudge  # +


class LogisticRegression:
    """Fit by gradient descent, with scikit-learn's method names."""

    def fit(self, x: np.ndarray, y: np.ndarray) -> "LogisticRegression":
        """Return itself, fitted to x (n, K) and y (n,) of 0 and 1."""
        self.weight = np.zeros(x.shape[1])
        for _ in range(300):
            self.weight -= 0.5 * x.T @ (self.predict_proba(x)[:, 1] - y) / len(x)
        return self

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        """Return the chances of 0 and 1, shape (n, 2)."""
        up = 1.0 / (1.0 + np.exp(-x @ self.weight))
        return np.column_stack([1.0 - up, up])


def main() -> None:
    """Fit on the first bars, then predict at each close as a live service would."""
    bars = read_bars(3_000, seed=0, timeframe="5m")
    log = np.log(bars.close)
    momentum = np.zeros((len(log), 3))
    for i, span in enumerate((5, 20, 60)):
        momentum[span:, i] = (log[span:] - log[:-span]) / np.std(np.diff(log)) / np.sqrt(span)
    model = LogisticRegression().fit(momentum[60:980], log[80:1_000] > log[60:980])
    judge = TrendJudge()  # +
    for bar in range(1_000, 3_000):
        judge.update("BTCUSDT", "5m", bars[bar : bar + 1])  # +
        up = float(model.predict_proba(momentum[bar : bar + 1])[0, 1])
        direction, confidence = ("up", up) if up > 0.5 else ("down", 1.0 - up)
        prediction = {"symbol": "BTCUSDT", "timeframe": "5m", "direction": direction, "confidence": confidence}
        judge.store(model_type="logistic", **prediction)  # +
    print(judge.stats())  # +


if __name__ == "__main__":
    main()
