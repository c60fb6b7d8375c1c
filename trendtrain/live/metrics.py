"""The state of a live run as Prometheus metrics, served on a port."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final

from trendtrain.errors import InputError, check_number

if TYPE_CHECKING:
    from prometheus_client import Metric

_BUCKETS: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 600.0)

_Value = Callable[[dict[str, Any]], float | None]
# Name, help, and the value; a name that ends in `total` only grows.
_OF_RUN: Final[tuple[tuple[str, str, _Value], ...]] = (
    ("steps_total", "Walk steps completed.", lambda facts: facts["n_steps"]),
    ("events", "Lines that judged predictions.", lambda facts: facts["n_events"]),
    ("event_accuracy", "Mean over events of the share of correct predictions.", lambda f: f["event_accuracy"]),
    ("event_accuracy_low", "Lower end of its 95 % interval (event-block).", lambda f: f["accuracy_ci95"][0]),
    ("event_accuracy_high", "Upper end of its 95 % interval (event-block).", lambda f: f["accuracy_ci95"][1]),
    ("alarms_total", "Changes of the market detected since the start.", lambda facts: facts["n_alarms"]),
    ("parameters", "Optimizer steps of the parameters that predict.", lambda facts: facts["parameters"]["number"]),
    (
        "parameters_learned_timestamp_seconds",
        "When the parameters last changed; their age is time() minus this.",
        lambda facts: facts["parameters"]["learned_at"],
    ),
    (
        "trainer_up",
        "Whether the process that trains is there.",
        lambda f: f["trainer"] and f["trainer"]["pid"] is not None,
    ),
    (
        "parameters_lag_seconds",
        "From what the parameters have learned to the newest bar, in time of the market (a process that trains).",
        lambda facts: facts["trainer"] and facts["trainer"]["lag_seconds"],
    ),
    ("beat_timestamp_seconds", "When the process last said that it is there.", lambda facts: facts["beat_at"]),
    ("warnings_total", "Warnings in the log since the start.", lambda facts: facts["n_warnings"]),
    ("errors_total", "Errors in the log since the start.", lambda facts: facts["n_errors"]),
)
_OF_SERIES: Final[tuple[tuple[str, str, _Value], ...]] = (
    ("bars_total", "Bars that came since the start.", lambda one: one["n_bars"]),
    ("missing_bars_total", "Bars missing between them (gaps).", lambda one: one["n_missing"]),
    ("newest_bar_timestamp_seconds", "Close of the newest bar.", lambda one: one["newest"] and one["newest"] / 1000),
    ("lag_seconds", "From the close of a bar to its stored prediction, the last one.", lambda s: s["lag_seconds"]),
    ("pending", "Predictions that wait for their line.", lambda one: one["stats"].get("pending_validations")),
    ("validated_total", "Predictions judged correct or wrong.", lambda s: s["stats"].get("validated_predictions")),
    ("correct_total", "Predictions judged correct.", lambda one: one["stats"].get("correct_predictions")),
    ("void_total", "Predictions that no line could judge.", lambda one: one["stats"].get("void_predictions")),
)


class MetricsServer:
    """Serve the state of a run to Prometheus until it is closed.

    Args:
        port: The port; 0 for any that is free.
        address: Where to listen; by default this machine alone can ask.

    Attributes:
        port: The port that is served.

    Raises:
        InputError: If prometheus-client is not installed, or the port cannot be had.
    """

    def __init__(self, port: int, address: str = "127.0.0.1") -> None:
        check_number("live.metrics_port", port, 0, 65_535)
        try:
            from prometheus_client import CollectorRegistry, Histogram, start_http_server
        except ModuleNotFoundError:
            rule = "be null where prometheus-client is not installed (pip install trendtrain[live])"
            raise InputError(f"`live.metrics_port` must {rule}, got {port}.") from None
        self._facts: dict[str, Any] | None = None
        registry = CollectorRegistry()
        registry.register(self)
        text = "From the close of a bar to its stored prediction."
        self._lags = Histogram("trendtrain_prediction_lag_seconds", text, buckets=_BUCKETS, registry=registry)
        try:
            self._server, self._thread = start_http_server(port, address, registry)
        except OSError as error:
            raise InputError(
                f"`live.metrics_port` must be a port that is free on {address}, got {port}: {error}."
            ) from error
        self.port: int = self._server.server_port

    def observe(self, lags: Iterable[float]) -> None:
        """Count the lag of predictions, s."""
        for lag in lags:
            self._lags.observe(lag)

    def show(self, facts: dict[str, Any]) -> None:
        """Serve these facts from now on."""
        self._facts = facts

    def collect(self) -> Iterable["Metric"]:
        """Yield the metrics; prometheus-client calls this in a thread of its own whenever somebody asks."""
        facts = self._facts
        if facts is None:
            return
        for name, text, value in _OF_RUN:
            yield _metric(name, text, (), [((), value(facts))])
        for name, text, value in _OF_SERIES:
            rows = [((one["symbol"], one["timeframe"]), value(one)) for one in facts["series"]]
            yield _metric(name, text, ("symbol", "timeframe"), rows)

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _metric(
    name: str, text: str, labels: tuple[str, ...], rows: Iterable[tuple[tuple[str, ...], float | None]]
) -> "Metric":
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    family = CounterMetricFamily if name.endswith("_total") else GaugeMetricFamily
    metric = family(f"trendtrain_{name}", text, labels=labels)
    for row_labels, value in rows:
        if value is not None:
            metric.add_metric(row_labels, value)
    return metric
