"""The layout as a Weights & Biases workspace."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from clsnorm.dashboard.layout import sections_for
from clsnorm.errors import InputError

if TYPE_CHECKING:
    import wandb_workspaces.workspaces as ws

STEP = "trainer/global_step"  # optimizer steps, logged by Lightning; W&B's own step counts calls


def workspace(*, entity: str, project: str, names: Iterable[str]) -> ws.Workspace:
    """Returns a workspace with the panels of the layout; ``save()`` uploads it and needs an account.

    Args:
        entity: Team or user.
        project: Project of the runs.
        names: Logged names, such as the columns of a run's ``metrics.csv``: a W&B panel lists its lines by name.

    Raises:
        InputError: If wandb-workspaces is not installed.
    """
    try:
        import wandb_workspaces.reports.v2 as wr
        import wandb_workspaces.workspaces as ws
    except ImportError:
        raise InputError(
            "A W&B workspace needs the package wandb-workspaces, which is not installed. "
            "Run `pip install wandb-workspaces`"
        ) from None
    names = list(names)
    sections = []
    for section in sections_for(names):
        panels = [
            wr.LinePlot(title=panel.heading, x=STEP, y=found, log_y=panel.log)
            for panel in section.panels
            if (found := panel.among(names))
        ]
        if panels:
            sections.append(ws.Section(name=section.title, panels=panels, is_open=True))
    return ws.Workspace(entity=entity, project=project, name="clsnorm", sections=sections)
