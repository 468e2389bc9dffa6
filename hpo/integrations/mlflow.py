"""An observer that logs each training, and the summary of a promotion, as a run of MLflow."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import time
from collections.abc import Mapping
from functools import cached_property

from mlflow.entities import Metric, Param, Run, RunTag
from mlflow.tracking import MlflowClient

from hpo.core.records import Evaluation, Status, digest
from hpo.integrations.tools import ToolObserver, fields_of, metrics_of, params_of, rows_of, summary_of

_UNNAMEABLE = re.compile(r"[^\w\-. :/]")
"""Characters that MLflow accepts in no name."""


class MlflowObserver(ToolObserver):
    """Logs each job that ended as a run of MLflow, and each promotion as one more run.

    MLflow's own environment variables say where: MLFLOW_TRACKING_URI and what belongs to it. The experiment is that of
    MLFLOW_EXPERIMENT_ID or MLFLOW_EXPERIMENT_NAME, otherwise the one named like the study. A job that has a run, found
    by its tag `hpo.job`, does not get another one.

    Args:
        study: name of the study.
        patience: seconds without progress after which the end of a command no longer waits for MLflow.
    """

    tool = "mlflow"

    def log(self, evaluation: Evaluation, *, trained: bool) -> None:
        job, steps = evaluation.job, metrics_of(evaluation)
        end = steps[-1][1] if steps else time.time()
        tags = {f"hpo.{name}": str(value) for name, value in fields_of(evaluation).items()}
        run = self._find("hpo.job", job.digest)
        if run is None:
            run = self._create("hpo.job", job.digest, job.folder, end - evaluation.seconds)
        elif not trained and run.info.status != "RUNNING":
            return
        metrics = [
            Metric(_UNNAMEABLE.sub("_", name), float(value), round(at * 1000), step)
            for step, at, found in steps
            for name, value in found.items()
        ]
        if evaluation.value is not None:
            metrics.append(Metric("hpo_value", evaluation.value, round(end * 1000), evaluation.step or 0))
        params = [Param(_UNNAMEABLE.sub("_", name), str(value)) for name, value in params_of(evaluation).items()]
        self._fill(run, tags, metrics, params)
        status = "FAILED" if evaluation.status is Status.FAILED else "FINISHED"
        self._client.set_terminated(run.info.run_id, status, round(end * 1000))

    def is_logged(self, evaluation: Evaluation) -> bool:
        return evaluation.job.digest in self._logged

    def log_promotion(self, report: Mapping[str, object]) -> None:
        text = json.dumps(report, indent=2, ensure_ascii=False, default=str)
        key, now = digest(text), time.time()
        run = self._find("hpo.promotion", key)
        if run is None:
            run = self._create("hpo.promotion", key, "promotion", now)
        elif run.info.status != "RUNNING":
            return
        described, numbers = summary_of(report)
        metrics = [Metric(name, float(value), round(now * 1000), 0) for name, value in numbers.items()]
        params = [Param(name, str(value)) for name, value in described.items()]
        self._fill(run, {"hpo.stage": "promotion summary", "hpo.winner": str(report["winner"])}, metrics, params)
        self._client.log_text(run.info.run_id, text, "promotion.json")
        rows, file = rows_of(report), io.StringIO()
        table = csv.DictWriter(file, list(dict.fromkeys(name for row in rows for name in row)), lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
        self._client.log_text(run.info.run_id, file.getvalue(), "ranking.csv")
        self._client.set_terminated(run.info.run_id)

    @cached_property
    def _client(self) -> MlflowClient:
        return MlflowClient()

    @cached_property
    def _experiment(self) -> str:
        if number := os.environ.get("MLFLOW_EXPERIMENT_ID"):
            return number
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or self.study
        found = self._client.get_experiment_by_name(name)
        return str(self._client.create_experiment(name) if found is None else found.experiment_id)

    @cached_property
    def _logged(self) -> set[str]:
        """The jobs that have a finished run."""
        query = f"tags.`hpo.study` = '{self.study}' and attributes.status != 'RUNNING'"
        found: set[str] = set()
        page = None
        while page != "":
            runs = self._client.search_runs([self._experiment], query, max_results=1000, page_token=page)
            found |= {run.data.tags["hpo.job"] for run in runs if "hpo.job" in run.data.tags}
            page = runs.token or ""
        return found

    def _find(self, tag: str, key: str) -> Run | None:
        """Returns the study's run that has this tag; None if there is none."""
        query = f"tags.`{tag}` = '{key}' and tags.`hpo.study` = '{self.study}'"
        return next(iter(self._client.search_runs([self._experiment], query, max_results=1)), None)

    def _create(self, tag: str, key: str, name: str, began: float) -> Run:
        tags = {tag: key, "hpo.study": self.study}
        return self._client.create_run(self._experiment, round(began * 1000), tags, name)

    def _fill(self, run: Run, tags: Mapping[str, str], metrics: list[Metric], params: list[Param]) -> None:
        listed = [RunTag(name, value) for name, value in tags.items()]
        self._client.log_batch(run.info.run_id, metrics=metrics, params=params, tags=listed)


observer = MlflowObserver
"""What `--log-to mlflow` makes."""
