"""Trains one job from end to end, without a driver."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from hpo import Job, Objective, Report, Resources, Stage, Status, TrainableRef
from hpo.training import TrainingRun
from hpo.training.predictions import Predictions

ROOT = Path(__file__).parents[2]
RAMP_HW = np.linspace(0, 4095, 12 * 10).round().astype(np.uint16).reshape(12, 10)


@dataclass(frozen=True, slots=True)
class Trained:
    """What came of a job."""

    reports: tuple[Report, ...]
    digests: Mapping[str, str]
    facts: Mapping[str, object]
    error: str | None
    predictions: Predictions | None


@pytest.fixture
def trained(tmp_path) -> Callable[..., Trained]:
    """Trains a job; one with `killed_in` is abandoned in the middle of that epoch and taken up by another training."""
    counter = iter(range(1000))

    def run(
        path, params, *, metric="val_loss", seed=42, budget=1, streams=None, killed_in=None, gpu=0.0, units=None
    ) -> Trained:
        job = Job(trial=0, params=params, seed=seed, budget=budget, stream_seeds=streams or {}, stage=Stage.PROMOTION)
        direction = "minimize" if metric == "val_loss" else "maximize"
        objective = Objective(metric=metric, direction=direction)
        trainable = TrainableRef(path=path, root=str(ROOT), objective=objective, units=units)
        folder = tmp_path / str(next(counter))
        if killed_in is not None:
            first = TrainingRun(job, trainable, Resources(gpu=gpu), folder)
            for _ in range(killed_in):
                assert first.advance().error is None
            first.close()
            torch.manual_seed(0)
        training = TrainingRun(job, trainable, Resources(gpu=gpu), folder)
        try:
            reports = []
            while (update := training.advance()).status is None:
                reports += update.reports
        finally:
            training.close()
        outcome = update.outcome
        assert (update.status is Status.FAILED) == (update.error is not None)
        return Trained(
            reports=(*reports, *update.reports),
            digests=outcome.digests,
            error=update.error,
            facts=outcome.fingerprint.get("facts", {}),
            predictions=Predictions.load(folder / job.folder),
        )

    return run


@pytest.fixture
def file(tmp_path):
    """Writes a DICOM file of 12 x 10 pixels of 12 bits, with what is given different."""
    pydicom = pytest.importorskip("pydicom", reason="DICOM files need the extra dicom")
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian

    def written(value_HW=RAMP_HW, syntax=None, without=(), **tags):
        data = pydicom.Dataset()
        data.file_meta = FileMetaDataset()
        data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID = "1.2.840.10008.5.1.4.1.1.1.2"
        data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID = "1.2.3"
        data.Rows, data.Columns = value_HW.shape
        data.SamplesPerPixel, data.PixelRepresentation = 1, 0
        data.BitsAllocated, data.BitsStored, data.HighBit = 16, 12, 11
        data.PhotometricInterpretation, data.PixelData = "MONOCHROME2", value_HW.tobytes()
        for name, value in tags.items():
            setattr(data, name, value)
        if syntax is not None:
            data.compress(syntax, generate_instance_uid=False)
        for name in without:
            delattr(data, name)
        data.save_as(tmp_path / "x.dcm", enforce_file_format=True)
        return tmp_path / "x.dcm"

    return written
