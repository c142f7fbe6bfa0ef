"""Figures are judged by their targets, and the report can be read back."""

from pathlib import Path

import orjson

from bench.measurements.intake import BARE, HANDLER, Results, Round
from bench.measurements.latency import Latency, percentile
from bench.report import Report


def one_round(rate: float, others: float = 0.0) -> Round:
    return Round(
        messages=1_000,
        seconds=1_000 / rate,
        cpu_us_per_message=10,
        rss_mib=50,
        peak_mib=60,
        redelivered=0,
        others=others,
    )


def test_ratios_are_taken_round_by_round() -> None:
    results = Results({"headgate": [one_round(100), one_round(50)], HANDLER: [one_round(10), one_round(5)]})
    assert results.ratio("headgate", HANDLER) == 10
    assert results.ratio("headgate", BARE) is None


def test_a_figure_below_its_target_is_missed_and_written_down(tmp_path: Path) -> None:
    report = Report()
    report.add_intake(
        Results({"headgate": [one_round(1_000)], HANDLER: [one_round(100)], BARE: [one_round(10_000)]}),
    )
    report.add_latency(Latency(samples=10, p50_ms=4.0, p90_ms=8.0, p99_ms=26.0, max_ms=30.0))
    assert [figure.what for figure in report.missed] == [f"compact, headgate / {BARE}", "publish to receipt, p99"]

    kept = orjson.loads(report.write(tmp_path).read_bytes())
    verdicts = {figure["what"]: figure["met"] for figure in kept["figures"]}
    assert verdicts[f"compact, headgate / {HANDLER}"] is True
    assert verdicts["publish to receipt, p99"] is False


def test_percentiles_are_by_nearest_rank() -> None:
    ordered = [float(value) for value in range(1, 101)]
    assert (percentile(ordered, 50), percentile(ordered, 99), percentile([7.0], 99)) == (50, 99, 7)


def test_a_report_says_that_other_programs_disturbed_it() -> None:
    report = Report()
    report.add_intake(Results({"headgate": [one_round(100), one_round(60, others=0.4)]}))
    assert len(report.notes) == 1
    assert "1 of 2 rounds" in report.notes[0]
