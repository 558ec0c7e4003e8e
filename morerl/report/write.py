"""One self-contained HTML file from a run folder: opens offline, fetches nothing, runs only its own script.

Everything a run folder holds is somebody's data (titles, model output, log keys), so the template
escapes by default, the script never parses HTML, and the file's own policy names the one script and
the one stylesheet by hash: what slipped through would still not run.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from markupsafe import Markup

from morerl.report import charts, figures, schedule, tables
from morerl.report.against import Versus, beside, paired
from morerl.report.browser import Judged, Shown, show_set
from morerl.report.curves import stage_charts
from morerl.report.judged import judge_set, scorer
from morerl.report.page import asset, environment, lines, packed, policy, write_page
from morerl.report.pictures import gallery
from morerl.report.read import Run, read_run
from morerl.scoring import UNPARSEABLE
from morerl.scoring.compare import Comparison

MAX_SAMPLES = 5_000
MAX_BYTES = 28_000_000  # of the whole page; the pictures take what the rest leaves
SCRIPTS = ("theme.js", "data.js", "spans.js", "sample.js", "list.js", "filters.js", "report.js")


def write_report(
    run_dir: Path,
    out: Path,
    *,
    against: Path | None = None,
    image_root: Path | None = None,
    max_samples: int = MAX_SAMPLES,
) -> None:
    """Writes the report of a run folder to `out`, atomically, with at most `max_samples` in its browser.

    With `against`, another run's folder, the last stages of both stand side by side. `image_root`: where the pictures
    of every corpus are, instead of where the run's settings say. A section whose file is missing says so in its place.
    Raises DataError if there is no such folder.
    """
    run, versus = read_run(run_dir), None
    if image_root is not None:
        run = replace(run, sets=[replace(one, image_root=image_root) for one in run.sets])
    if against is not None:
        run, versus = beside(run, read_run(against))
    write_page(out, render(run, versus, max_samples))


def render(run: Run, versus: Versus | None = None, max_samples: int = MAX_SAMPLES) -> str:
    """The page."""
    judged = [Judged(one, judge_set(one), scorer(run.settings, one)) for one in run.sets]
    shown = _shown(run, judged, max_samples)
    data = packed({"stages": _stages(run), "samples": [sample for one in shown for sample in one.samples]})
    told = packed([told for one in shown for told in one.told])
    script, style = "".join(map(asset, SCRIPTS)), asset("report.css") + asset("browser.css")
    template = environment().get_template("report.html.jinja")
    views = [_view(*pair) for pair in zip(judged, shown, strict=True)]
    trained, other = schedule.trained(run), versus and schedule.trained(versus.run)
    return template.render(
        policy=policy(script, style),
        script=Markup(script),
        style=Markup(style),
        run=run,
        versus=versus,
        chart=charts,
        views=views,
        scored=any(view["stages"] for view in views),
        controlled=any(view["controls"] for view in views),
        times=figures.bars(run.seconds, of_sum=True),
        difficulty=figures.difficulty(run.rated),
        trained=trained.said,
        other_trained=other.said if other else "",
        epochs=schedule.epochs(trained.windows),
        mixing=schedule.schedule_charts(
            trained.windows, (other.windows, versus.name, run.name) if versus and other else None
        ),
        unparseable=UNPARSEABLE,
        curves=_curves(run, versus),
        samples=any(one.samples for one in shown),
        data=data,
        told=told,
        pictures=_pictures(shown, MAX_BYTES - len(data) - len(told)),
    )


def _view(judged: Judged, shown: Shown) -> dict[str, Any]:
    """What the template shows of one set."""
    one, metrics = judged.answered, judged.answered.metrics
    difference = paired(one)
    by_id = {sample.id: sample for sample in one.samples}
    return {
        "set": one,
        "total": dict(shown.total),
        "n": len(shown.samples),
        "stages": list(metrics),
        "results": figures.results(metrics),
        "groups": figures.group_rows(metrics),
        "difference": difference if isinstance(difference, Comparison) else None,
        "flat": isinstance(difference, Comparison) and figures.is_flat(difference.ci95),
        "no_difference": difference if isinstance(difference, str) else "",
        "labels": tables.label_groups(metrics, one.spec),
        "meanings": tables.meanings(one.spec),
        "confusions": {
            stage: tables.confusions(
                figures_of, [(by_id[id_], verdict) for id_, verdict in judged.verdicts.get(stage, {}).items()]
            )
            for stage, figures_of in reversed(metrics.items())
        },
        "problems": tables.problem_rows(metrics),
        "controls": figures.control_rows(one),
        "primary": figures.primary_name(list(metrics.values())[-1]) if metrics else "",
    }


def _stages(run: Run) -> list[str]:
    """The columns of the browser: every stage of any set, in the order of the first that has it."""
    return list(dict.fromkeys(stage for one in run.sets for stage in one.predictions))


def _shown(run: Run, judged: list[Judged], limit: int) -> list[Shown]:
    found: list[Shown] = []
    stages = _stages(run)
    for number, one in enumerate(judged):
        first = sum(len(before.pictures) for before in found)
        share = limit // len(judged)
        shown = show_set(one, run.rated, number=number, limit=share, seed=run.seed, first_picture=first)
        place = {stage: at for at, stage in enumerate(one.verdicts)}
        for sample in shown.samples:
            sample["answers"] = [sample["answers"][place[stage]] if stage in place else None for stage in stages]
        told = [[one[place[stage]] if stage in place else None for stage in stages] for one in shown.told]
        found.append(shown._replace(told=told))
    return found


def _pictures(shown: list[Shown], room: int) -> Markup:
    files = [file for one in shown for file in one.pictures]
    return lines(one.as_json() for one in gallery(files, room // (len(files) or 1)))


def _curves(run: Run, versus: Versus | None) -> dict[str, list[charts.Chart]]:
    stages = list(dict.fromkeys([*run.logs, *(versus.run.logs if versus else ())]))
    return {
        stage: stage_charts(
            run.logs.get(stage, []),
            versus and (versus.run.logs.get(stage, []), versus.name, run.name),
            run.kept(stage),
        )
        for stage in stages
    }
