"""The routes that change something: requests to a driver, and submissions to a cluster. All of them need the token."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path as File
from typing import Annotated, Any

from fastapi import APIRouter, Body, Path

from hpo.core.records import MAX_TRIALS
from hpo.core.run_config import JOBS_ADDRESS, RunConfig
from hpo.driver import manage
from hpo.driver.control import pause as pause_study
from hpo.driver.control import resume as resume_study
from hpo.driver.control import stop as stop_study
from hpo.driver.options import SubmitOptions
from hpo.driver.submit import submit as submit_study
from hpo.serve.views import StudyViews
from hpo.study import NAME

Name = Annotated[str, Path(pattern=f"^{NAME}$", description="The study's name.")]
Trials = Annotated[
    int | None, Body(embed=True, ge=1, le=MAX_TRIALS, description="Total number of trials; default: the study's.")
]


NewName = Annotated[str, Body(embed=True, pattern=f"^{NAME}$", description="The study's new name.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """The cluster that studies are submitted to.

    Attributes:
        jobs_address: address of the cluster's dashboard.
        folders: folders of study files; None: the default ones.
    """

    jobs_address: str = JOBS_ADDRESS
    folders: tuple[File, ...] | None = None


def control_routes(views: StudyViews, config: RunConfig, cluster: Cluster) -> APIRouter:
    """Returns the routes that change something.

    Args:
        views: views of the studies that are served.
        config: storage of the studies.
        cluster: cluster that studies are submitted to.
    """
    router = APIRouter(prefix="/hpo/v1", tags=["control"])

    def known(name: str) -> str:
        return views.study(name).name

    @router.post("/studies/{name}/pause")
    def pause(name: Name) -> dict[str, Any]:
        """Pauses a study: no new training starts until it is resumed; running ones finish."""
        return asdict(pause_study(known(name), config))

    @router.post("/studies/{name}/resume")
    def resume(name: Name) -> dict[str, Any]:
        """Resumes a paused study, immediately if its driver is waiting."""
        return asdict(resume_study(known(name), config))

    @router.post("/studies/{name}/stop")
    def stop(name: Name) -> dict[str, Any]:
        """Stops the driver: no new training starts; running ones finish their epoch and save a checkpoint."""
        return asdict(stop_study(known(name), config, jobs_address=cluster.jobs_address))

    @router.post("/studies/{name}/archive")
    def archive(name: Name) -> dict[str, Any]:
        """Archives a study: the list of studies shows it only if asked for archived ones. Nothing else changes."""
        return {"study": name, "changed": manage.archive(known(name), True, config)}

    @router.post("/studies/{name}/unarchive")
    def unarchive(name: Name) -> dict[str, Any]:
        """Takes a study back from the archive."""
        return {"study": name, "changed": manage.archive(known(name), False, config)}

    @router.post("/studies/{name}/rename")
    def rename(name: Name, new: NewName) -> dict[str, Any]:
        """Renames a study that no process drives, with its folder of results; its study file is not changed."""
        return _plain(manage.rename(known(name), new, config))

    @router.delete("/studies/{name}")
    def delete(name: Name) -> dict[str, Any]:
        """Deletes a study that no process drives from the database; its files stay."""
        return _plain(manage.delete(known(name), config))

    def submitted(name: str, arguments: Sequence[str]) -> dict[str, Any]:
        options = SubmitOptions(arguments=arguments, folders=cluster.folders, jobs_address=cluster.jobs_address)
        return asdict(submit_study(name, config, options))

    @router.post("/studies/{name}/submit", status_code=202)
    def submit(name: Name, trials: Trials = None) -> dict[str, Any]:
        """Submits the search of a study to the cluster; one driver at a time."""
        return submitted(name, ["--trials", str(trials)] if trials else [])

    @router.post("/studies/{name}/promote", status_code=202)
    def promote(name: Name) -> dict[str, Any]:
        """Submits the rest of a study's search and the promotion of its best trials to the cluster."""
        return submitted(name, ["--promote"])

    return router


def _plain(summary: manage.StudySummary) -> dict[str, Any]:
    """Returns the size of a study without the paths of its folders."""
    return {"study": summary.study, "trials": summary.trials, "evaluations": summary.evaluations}
