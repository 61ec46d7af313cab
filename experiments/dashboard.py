"""The tables and figures on W&B: a workspace of panels, and a report with the numbers too."""

import os
import sys
from collections.abc import Sequence

import wandb
import wandb_workspaces.reports.v2 as reports
import wandb_workspaces.workspaces as workspaces
from wandb_workspaces import expr

from experiments.compare import Comparison
from experiments.report import markdown
from experiments.table import Table

MODEL, TASK = "choices.model", "choices.task"
# What every training logs, by the tokens it has seen.
CURVES = ("train/loss", "train/gradient_norm", "validation/mse")
TITLE = "Titans: the paper's tables"
# No panel has more.
RUNS = 100


def save(comparisons: Sequence[Comparison], project: str, entity: str | None) -> int:
    """Lays out a workspace and a report, and saves both where there is a key.

    Args:
        comparisons: the tables, joined with our records.
        project: the project on W&B that the runs were logged to.
        entity: whose project it is; the owner of the key, if not said.

    Returns:
        The exit status: 0 where both are saved, and 1 without a key.
    """
    tables = [comparison.table for comparison in comparisons]
    view = workspace(tables, project, entity or "")
    offline = os.environ.get("WANDB_MODE") in ("offline", "disabled")
    if offline or not wandb.login(prompt=False, verify=False):
        panels = sum(len(section.panels) for section in view.sections)
        print(f"Laid out {len(view.sections)} sections with {panels} panels, and saved nothing:")
        print("W&B is set offline (WANDB_MODE)." if offline else "there is no key for W&B.")
        print("Run `wandb login`, or set WANDB_API_KEY, and run this again.")
        print("`make dashboard` shows the runs of the latest sweep in this terminal.")
        return 1
    try:
        owner = entity or str(wandb.Api().default_entity)
        view = workspace(tables, project, owner).save()
        print(f"workspace: {view.url}")
        print(f"report: {report(comparisons, project, owner).save().url}")
    except Exception as error:
        # Whatever the server, the network or the two packages raise: it has many names.
        print(f"W&B refused: {error or type(error).__name__}", file=sys.stderr)
        return 1
    return 0


def workspace(tables: Sequence[Table], project: str, entity: str) -> workspaces.Workspace:
    """One section for the curves, and one for each table and figure."""
    curves = [reports.LinePlot(title=y, x="tokens", y=[y], max_runs_to_show=RUNS) for y in CURVES]
    measured = {table.title: panels(table) for table in tables}
    sections = [
        workspaces.Section(name="Training", panels=curves, is_open=True),
        *(workspaces.Section(name=k, panels=found) for k, found in measured.items() if found),
    ]
    return workspaces.Workspace(
        entity=entity,
        project=project,
        name=TITLE,
        sections=sections,
        settings=workspaces.WorkspaceSettings(x_axis="tokens", max_runs=RUNS),
        runset_settings=workspaces.RunsetSettings(groupby=[expr.Config(MODEL)]),
    )


def report(comparisons: Sequence[Comparison], project: str, entity: str) -> reports.Report:
    """Each table and figure: the paper's numbers with ours, and panels of the runs behind them."""
    blocks: list[object] = [reports.TableOfContents()]
    for comparison in comparisons:
        table = comparison.table
        blocks += [reports.H1(table.title), reports.MarkdownBlock(markdown(comparison))]
        if found := panels(table):
            tasks = {cell.run["task"] for cell in table.measurable}
            runs = reports.Runset(
                entity=entity,
                project=project,
                name=table.title,
                filters=[expr.Config(TASK).isin(sorted(tasks))],
                groupby=[f"config.{MODEL}"],
            )
            blocks.append(reports.PanelGrid(runsets=[runs], panels=found))
    about = "Made by `python -m experiments dashboard`, from the records of the repository."
    return reports.Report(
        project=project, entity=entity, title=TITLE, description=about, blocks=blocks, width="fluid"
    )


def panels(table: Table) -> list[reports.BarPlot]:
    """One panel for each score of a table: a bar for each model, the mean of its runs."""
    scores = dict.fromkeys(score for cell in table.measurable for score in cell.scores)
    return [
        reports.BarPlot(
            title=score,
            metrics=[f"score/{score}"],
            groupby=reports.Config(MODEL),
            groupby_aggfunc="mean",
            groupby_rangefunc="stddev",
            max_bars_to_show=RUNS,
            # Three to a row of twenty-four columns.
            layout=reports.Layout(x=8 * (index % 3), y=6 * (index // 3), w=8, h=6),
        )
        for index, score in enumerate(scores)
    ]
