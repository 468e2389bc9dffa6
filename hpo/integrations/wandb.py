"""An observer that logs each training, and the summary of a promotion, as a run of W&B."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import wandb

from hpo.core.errors import UsageError
from hpo.core.records import Evaluation, Status, digest
from hpo.integrations.tools import ToolObserver, fields_of, metrics_of, params_of, rows_of, summary_of


class WandbObserver(ToolObserver):
    """Logs each job that ended as a run of W&B, and each promotion as one more run.

    W&B's own environment variables say where: WANDB_MODE, WANDB_BASE_URL, WANDB_ENTITY, WANDB_DIR and others. The
    project is that of WANDB_PROJECT, otherwise the one named like the study. The id of a run follows from study and
    job, so a job has one run, whichever process logs it.

    Args:
        study: name of the study.
        patience: seconds without progress after which the end of a command no longer waits for W&B.
    """

    tool = "wandb"

    def log(self, evaluation: Evaluation, *, trained: bool) -> None:
        job, fields = evaluation.job, fields_of(evaluation)
        key = self._id(job.digest)
        if not trained and self._is_logged(key):
            return
        config = {**params_of(evaluation), "hpo": {"study": self.study, **fields}}
        tags = [str(job.stage), str(evaluation.status)]
        with self._run(key, job.folder, str(job.stage), config, tags) as run:
            for step, _at, metrics in metrics_of(evaluation):
                run.log(metrics, step=step)
            chosen = {"hpo_value": evaluation.value, "hpo_step": evaluation.step, "hpo_status": fields["status"]}
            run.summary.update({**chosen, **({"hpo_error": fields["error"]} if "error" in fields else {})})
            run.finish(exit_code=int(evaluation.status is Status.FAILED))

    def is_logged(self, evaluation: Evaluation) -> bool:
        return self._id(evaluation.job.digest) in self._logged

    def log_promotion(self, report: Mapping[str, object]) -> None:
        key = self._id(digest(json.dumps(report, default=str)))
        if self._is_logged(key):
            return
        described, numbers = summary_of(report)
        config = {**described, "hpo": {"study": self.study, "stage": "promotion summary"}}
        rows = rows_of(report)
        columns = list(dict.fromkeys(name for row in rows for name in row))
        table = wandb.Table(columns, [[row.get(name) for name in columns] for row in rows], allow_mixed_types=True)
        with self._run(key, "promotion", "promotion summary", config, ["promotion"]) as run:
            run.log({"ranking": table})
            run.summary.update({"winner": report["winner"], **numbers})

    def _id(self, key: str) -> str:
        return digest({"study": self.study, "key": key})[:32]

    @cached_property
    def _logged(self) -> set[str]:
        """The ids of the runs whose files are in this folder."""
        return {path.name.rpartition("-")[2] for path in Path(wandb.setup().settings.wandb_dir).glob("*run-*-*")}

    def _is_logged(self, key: str) -> bool:
        """Whether this folder has the run's files; otherwise W&B continues a run of this id that another one logged."""
        return any(Path(wandb.setup().settings.wandb_dir).glob(f"*run-*-{key}"))

    def _run(self, key: str, name: str, kind: str, config: dict[str, Any], tags: list[str]) -> wandb.Run:
        own = wandb.setup().settings
        if own.mode == "online" and not wandb.login(prompt=False):  # init would ask for the key on the terminal
            raise UsageError("W&B has no API key; set WANDB_API_KEY, run wandb login, or set WANDB_MODE=offline")
        settings = wandb.Settings(
            console="off",  # the driver's output belongs to no training
            silent=True,
            disable_git=True,
            save_code=False,
            x_disable_meta=True,  # it has the driver's command line
            x_disable_machine_info=True,
            x_disable_stats=True,  # the training ran in another process, and has ended
            finish_timeout=own.finish_timeout or self.patience,
            finish_timeout_raises=True,
        )
        return wandb.init(
            project=os.environ.get("WANDB_PROJECT") or self.study,
            id=key,
            name=name,
            group=self.study,
            job_type=kind,
            config=config,
            tags=tags,
            resume="allow",
            reinit="create_new",
            settings=settings,
        )


observer = WandbObserver
"""What `--log-to wandb` makes."""
