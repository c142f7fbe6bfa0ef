"""The KPI report as a picture, drawn by matplotlib, which is an extra: few need it."""

from pathlib import Path
from typing import Final

from daemon.cli.kpi.report import WATCH_THROUGH, DrawnReport, MetricSeries, shown, shown_change

_COLUMNS: Final = 4
_MOST_LABELS: Final = 4
_BAR: Final = "#4c7bd9"
_INK: Final = "#5b6675"
_DOTS: Final = 150


class PlottingMissing(Exception):
    """The library for pictures is not installed."""


def plot(report: DrawnReport, file: Path) -> None:
    """Write the picture. Raises :class:`PlottingMissing`, or ``OSError`` where the file cannot be written."""
    try:
        import matplotlib as mpl
    except ImportError:
        raise PlottingMissing("pictures need matplotlib: pip install 'headgate[plot]'") from None
    mpl.use("agg")
    from matplotlib import pyplot as plt

    rows = -(-len(report.metrics) // _COLUMNS)
    figure, axes = plt.subplots(rows, _COLUMNS, figsize=(13, 2.9 * rows), squeeze=False, layout="constrained")
    odd = f", {report.anomalies:,} stand out" if report.anomalies else ""
    figure.suptitle(
        f"KPI report, {report.period}, {report.first} to {report.last} (UTC): {len(report.posts):,} posts{odd}"
    )
    for axis, metric in zip(axes.flat, report.metrics, strict=False):
        _draw(axis, metric, report.starts)
    try:
        figure.savefig(file, dpi=_DOTS, format="png")
    finally:
        plt.close(figure)


def _draw(axis: "object", metric: MetricSeries, starts: tuple[str, ...]) -> None:
    from matplotlib.axes import Axes
    from matplotlib.ticker import EngFormatter, PercentFormatter

    assert isinstance(axis, Axes)  # noqa: S101 - what subplots gives is known at run time only
    axis.bar(range(len(starts)), [value or 0.0 for value in metric.values], color=_BAR, width=0.85)
    axis.set_title(
        f"{metric.label}\n{shown(metric.name, metric.total)}  {shown_change(metric.change)}", fontsize=10, loc="left"
    )
    axis.yaxis.set_major_formatter(PercentFormatter(1.0) if metric.name == WATCH_THROUGH else EngFormatter(sep=""))
    labelled = range(0, len(starts), max(1, -(-len(starts) // _MOST_LABELS)))
    axis.set_xticks(list(labelled), [starts[at][5:] for at in labelled])
    axis.tick_params(labelsize=8, colors=_INK)
    axis.set_ylim(bottom=0)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
