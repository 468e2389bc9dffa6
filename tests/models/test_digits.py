from __future__ import annotations

import pytest
import torch

DIGITS = "models.digits:train"
PARAMS = {"lr": 0.05, "batch": 16}


def test_it_learns_and_reports_metrics(trained):
    found = trained(DIGITS, PARAMS, metric="val_acc", budget=4)
    assert list(found.reports[0].metrics)[:4] == ["train_loss", "train_acc", "val_loss", "val_acc"]
    assert found.reports[-1].metrics["val_acc"] > 0.85
    assert found.predictions.labels == tuple(range(10))
    assert len(found.predictions.truth) == 1348


@pytest.mark.parametrize("params", [{}, {"optimizer": "sgd", "dropout": 0.3, "norm": "group"}])
def test_repeated_and_resumed_are_identical(trained, params):
    whole = trained(DIGITS, {**PARAMS, **params}, budget=2)
    assert whole.error is None
    assert trained(DIGITS, {**PARAMS, **params}, budget=2).digests == whole.digests
    assert trained(DIGITS, {**PARAMS, **params}, budget=2, killed_in=2).digests == whole.digests


@pytest.mark.parametrize("stream", ["split", "init", "order"])
def test_each_used_stream_matters(trained, stream):
    plain, varied = (trained(DIGITS, PARAMS, streams=streams) for streams in ({}, {stream: 43}))
    assert plain.digests["weights"] != varied.digests["weights"]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no graphics card")
def test_equal_jobs_are_bit_identical_on_gpu(trained):
    first, second = (trained(DIGITS, PARAMS, gpu=1.0) for _ in range(2))
    assert first.digests == second.digests
