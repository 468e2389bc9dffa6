"""What changes something: requests to a driver, and submitting a study to a cluster. All of them need the token."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path as File
from typing import Annotated, Any

from fastapi import APIRouter, Body, Path

from hpo.core.records import MAX_TRIALS
from hpo.core.run_config import JOBS_ADDRESS, RunConfig
from hpo.driver.control import pause as pause_study
from hpo.driver.control import resume as resume_study
from hpo.driver.control import stop as stop_study
from hpo.driver.options import SubmitOptions
from hpo.driver.submit import submit as submit_study
from hpo.serve.views import StudyViews
from hpo.study import NAME

Name = Annotated[str, Path(pattern=f"^{NAME}$", description="The study's name.")]
Trials = Annotated[int | None, Body(embed=True, ge=1, le=MAX_TRIALS, description="In all; the study's if not said.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """Where studies go that are submitted.

    Attributes:
        jobs_address: of the cluster's dashboard.
        folders: of study files; None: where they always are looked for.
    """

    jobs_address: str = JOBS_ADDRESS
    folders: tuple[File, ...] | None = None


def steering(found: StudyViews, config: RunConfig, cluster: Cluster) -> APIRouter:
    """Returns the routes that change something.

    Args:
        found: the studies that are served.
        config: where they are kept.
        cluster: where they go.
    """
    router = APIRouter(prefix="/hpo/v1", tags=["steering"])

    def known(name: str) -> str:
        return found.study(name).name

    @router.post("/studies/{name}/pause")
    def pause(name: Name) -> dict[str, Any]:
        """Lets nothing new begin until it is resumed; what runs goes to its end."""
        return asdict(pause_study(known(name), config))

    @router.post("/studies/{name}/resume")
    def resume(name: Name) -> dict[str, Any]:
        """Lets a paused study go on: at once, if its driver waits."""
        return asdict(resume_study(known(name), config))

    @router.post("/studies/{name}/stop")
    def stop(name: Name) -> dict[str, Any]:
        """Asks the driver to end: nothing new begins, what runs ends its epoch and is checkpointed."""
        return asdict(stop_study(known(name), config, jobs_address=cluster.jobs_address))

    def submitted(name: str, arguments: Sequence[str]) -> dict[str, Any]:
        options = SubmitOptions(arguments=arguments, folders=cluster.folders, jobs_address=cluster.jobs_address)
        return asdict(submit_study(name, config, options))

    @router.post("/studies/{name}/submit", status_code=202)
    def submit(name: Name, trials: Trials = None) -> dict[str, Any]:
        """Lets the cluster search a study, once at a time."""
        return submitted(name, ["--trials", str(trials)] if trials else [])

    @router.post("/studies/{name}/promote", status_code=202)
    def promote(name: Name) -> dict[str, Any]:
        """Lets the cluster search what is left of a study, and promote its best trials."""
        return submitted(name, ["--promote"])

    return router
