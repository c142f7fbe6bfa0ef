"""The KPI report as one page of HTML that needs nothing else: no script, no font, no picture from elsewhere."""

from html import escape
from typing import Final

from daemon.cli.kpi.report import ABSENT, DrawnPost, DrawnReport, MetricSeries, shown, shown_change

_WIDTH: Final = 240
_HEIGHT: Final = 64
_GAP: Final = 2
_MOST_Z: Final = 10.0

_STYLE: Final = """
:root { color-scheme: light dark; --ink: #1c2430; --soft: #5b6675; --line: #d9dee5; --card: #ffffff; --page: #f4f6f8;
  --bar: #4c7bd9; --up: #1a7f4b; --down: #b3372f; --odd: #fff3d6; --mark: #b25e00; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6eaf0; --soft: #9aa6b5; --line: #323c49; --card: #1d2530;
  --page: #131920; --bar: #7fa3ee; --up: #58c98c; --down: #f08d85; --odd: #3a2f14; --mark: #f0b35a; } }
* { box-sizing: border-box; }
body { margin: 0; padding: 2rem 1.25rem; background: var(--page); color: var(--ink);
  font: 15px/1.45 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
main { max-width: 72rem; margin: 0 auto; }
h1 { font-size: 1.5rem; margin: 0 0 .25rem; } h2 { font-size: 1.1rem; margin: 2rem 0 .75rem; }
.lead, footer { color: var(--soft); margin: 0; } footer { margin-top: 2rem; font-size: .85rem; max-width: 60rem; }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(15rem, 1fr)); gap: 1rem; margin-top: 1.5rem; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: .6rem; padding: .9rem 1rem .7rem; }
.card h2 { margin: 0; font-size: .85rem; font-weight: 500; color: var(--soft); }
.figure { font-size: 1.5rem; font-weight: 600; font-variant-numeric: tabular-nums; }
.change { font-size: .85rem; font-variant-numeric: tabular-nums; color: var(--soft); margin-left: .4rem; }
.up { color: var(--up); } .down { color: var(--down); }
svg { display: block; width: 100%; height: 4rem; margin-top: .5rem; }
svg rect { fill: var(--bar); } svg line { stroke: var(--line); }
.ends { display: flex; justify-content: space-between; color: var(--soft); font-size: .75rem; }
.scroll { overflow-x: auto; background: var(--card); border: 1px solid var(--line); border-radius: .6rem; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: .45rem .75rem; text-align: left; border-bottom: 1px solid var(--line); }
th { font-size: .8rem; font-weight: 500; color: var(--soft); white-space: nowrap; }
tbody tr:last-child td { border-bottom: 0; }
td.number, th.number { text-align: right; white-space: nowrap; } td.name { overflow-wrap: anywhere; min-width: 9rem; }
tr.odd { background: var(--odd); } .flag { color: var(--mark); font-weight: 600; white-space: nowrap; }
"""


def page(report: DrawnReport) -> str:
    """The whole page."""
    title = f"KPI report, {report.period}, {report.first} to {report.last}"
    unit = "week" if report.period == "weekly" else "day"
    odd = f", {report.anomalies:,} of them stand out" if report.anomalies else ""
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>{_STYLE}</style>
</head>
<body>
<main>
<h1>KPI report, {escape(report.period)}</h1>
<p class="lead">{escape(report.first)} to {escape(report.last)} (UTC),
{len(report.posts):,} posts{odd}.</p>
<div class="cards">
{"".join(_card(metric, report, unit) for metric in report.metrics)}</div>
<h2>Posts, the largest reach first</h2>
{_posts(report.posts)}
<footer>Figures are sums over posts of each post's latest measurement; watch through is the mean weighted by views.
Change
is against the time before of the same length. A post stands out from |z| ≥ 3.5, judged by the metric of its objective
against its peers and its own history (median and median distance); with fewer than eight peers it is not judged.
</footer>
</main>
</body>
</html>
"""


def _card(metric: MetricSeries, report: DrawnReport, unit: str) -> str:
    way = "" if not metric.change else " up" if metric.change > 0 else " down"
    ends = f"<span>{escape(report.starts[0])}</span><span>{escape(report.starts[-1])}</span>" if report.starts else ""
    return f"""<section class="card">
<h2>{escape(metric.label)}</h2>
<span class="figure">{shown(metric.name, metric.total)}</span>\
<span class="change{way}">{shown_change(metric.change)}</span>
{_bars(metric, report.starts, unit)}
<div class="ends">{ends}</div>
</section>
"""


def _bars(metric: MetricSeries, starts: tuple[str, ...], unit: str) -> str:
    """A bar for each period, from zero up; a period without a value has none."""
    most = max((value for value in metric.values if value is not None), default=0.0)
    step = _WIDTH / max(len(metric.values), 1)
    width = max(step - min(_GAP, step / 4), 0.5)
    bars = []
    for at, (start, value) in enumerate(zip(starts, metric.values, strict=True)):
        if value is None:
            continue
        height = value / most * (_HEIGHT - 4) if most else 0.0
        bars.append(
            f'<rect x="{at * step:.1f}" y="{_HEIGHT - 1 - height:.1f}" width="{width:.1f}" height="{height:.1f}">'
            f"<title>{escape(start)}: {shown(metric.name, value)}</title></rect>"
        )
    label = f"{metric.label} by {unit}"
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" preserveAspectRatio="none" role="img" aria-label="{escape(label)}">'
        f'{"".join(bars)}<line x1="0" y1="{_HEIGHT - 0.5}" x2="{_WIDTH}" y2="{_HEIGHT - 0.5}"/></svg>'
    )


def _posts(posts: tuple[DrawnPost, ...]) -> str:
    if not posts:
        return '<p class="lead">No post was measured in this time.</p>'
    return f"""<div class="scroll"><table>
<thead><tr><th scope="col">post</th><th scope="col">platform</th><th scope="col">topic</th>\
<th scope="col">objective</th>\
<th scope="col" class="number">value</th><th scope="col" class="number">reach</th>\
<th scope="col" class="number">z</th><th scope="col"></th></tr></thead>
<tbody>
{"".join(_post(post) for post in posts)}</tbody>
</table></div>"""


def _post(post: DrawnPost) -> str:
    z = ABSENT if post.z is None else f"{post.z:+.2f}"
    way = "" if post.z is None else "high" if post.z > 0 else "low"
    return (
        f'<tr{" class=odd" if post.anomaly else ""}><td class="name">{escape(post.post_id)}</td>'
        f'<td>{escape(post.platform)}</td><td class="name">{escape(post.topic)}</td>'
        f"<td>{escape(post.objective.replace('_', ' '))}</td>"
        f'<td class="number">{shown(post.objective, post.value)}</td>'
        f'<td class="number">{shown("reach", post.reach)}</td>'
        f'<td class="number">{z}</td><td class="flag">{f"unusually {way}" if post.anomaly else ""}</td></tr>\n'
    )
