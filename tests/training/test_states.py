"""State dicts: values that load unchanged from a checkpoint, and values that are rejected when it is saved."""

from __future__ import annotations

import collections
import datetime
import threading
import time
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
import torch

from hpo.core.errors import CheckpointInvalid, TrainableError
from hpo.training.checkpoint import NEWEST, Checkpoint
from hpo.training.states import check_loadable, load_plain
from hpo.training.weights import MODEL_FILE, first_difference, on_cpu, weights_digest

GENERATOR = np.random.default_rng(3)


def checkpoint(**states):
    return Checkpoint(job="job", epoch=1, states=states, selected=None, reports=(), seconds=1.0)


SOUND = {
    "numpy float": np.float64(0.1),
    "numpy float32": np.float32(0.1),
    "numpy int": np.int64(-3),
    "numpy bool": np.bool_(True),
    "numpy complex": np.complex128(1 + 2j),
    "numpy text": np.str_("a"),
    "long double": np.longdouble("0.1"),
    "array": np.arange(6.0).reshape(2, 3),
    "Fortran array": np.asfortranarray(np.arange(6).reshape(2, 3)),
    "text array": np.array(["a", "bc"]),
    "array of objects": np.array([{"a": 1}, None], dtype=object),
    "generator's state": GENERATOR.bit_generator.state,
    "legacy generator's state": np.random.RandomState(1).get_state(),
    "set": {1, 2},
    "frozenset": frozenset({1}),
    "range": range(3),
    "slice": slice(1, 2),
    "date": datetime.datetime(2020, 1, 2, tzinfo=datetime.UTC),
    "duration": datetime.timedelta(seconds=1.5),
    "decimal": Decimal("0.1"),
    "path": Path("a/b"),
    "ordered": collections.OrderedDict(b=1, a=2),
    "counter": collections.Counter("aab"),
    "huge int": 10**400,
    "infinity": float("inf"),
    "bytes": b"\x00\xff",
    "dtype": torch.bfloat16,
}


@pytest.mark.parametrize("value", SOUND.values(), ids=SOUND)
def test_state_round_trips(tmp_path, value):
    checkpoint(thing={"value": value}).save(tmp_path)
    found = Checkpoint.load(tmp_path / NEWEST, "job", "cpu").states["thing"]["value"]
    assert type(found) is type(value)
    np.testing.assert_equal(found, value)


@pytest.mark.parametrize(
    "kind", [torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2, torch.uint16, torch.complex64]
)
def test_every_dtype_round_trips(tmp_path, kind):
    one, other = torch.arange(4.0).to(kind), torch.arange(4.0).flip(0).to(kind)
    checkpoint(thing={"value": one}).save(tmp_path)
    found = Checkpoint.load(tmp_path / NEWEST, "job", "cpu").states["thing"]["value"]
    assert weights_digest({"value": found}) == weights_digest({"value": one})
    assert weights_digest({"value": one}) != weights_digest({"value": other})


def test_sparse_tensors_round_trip(tmp_path):
    sparse = torch.eye(3).to_sparse()
    checkpoint(thing={"value": sparse}).save(tmp_path)
    assert Checkpoint.load(tmp_path / NEWEST, "job", "cpu").states["thing"]["value"].is_sparse
    assert weights_digest({"value": sparse}) != weights_digest({"value": (2 * torch.eye(3)).to_sparse()})


class Mine:
    pass


UNSOUND = {
    "deque": (collections.deque([1]), "it holds collections.deque"),
    "own class": (Mine(), "Mine"),
    "generator": (GENERATOR, "numpy.random._pickle"),
    "model": (torch.nn.Linear(1, 1), "torch.nn.modules.linear.Linear"),
    "lambda": (lambda: 1, "cannot be saved in a checkpoint"),
    "lock": (threading.Lock(), "cannot be saved in a checkpoint"),
    "default": (collections.defaultdict(list, a=[1]), "collections.defaultdict"),
}


@pytest.mark.parametrize(("value", "message"), UNSOUND.values(), ids=UNSOUND)
def test_unloadable_state_fails_on_save(tmp_path, value, message):
    with pytest.raises(TrainableError, match="may hold tensors, NumPy values") as caught:
        checkpoint(sound={"a": 1}, mine={"value": value}).save(tmp_path)
    assert message in str(caught.value)
    assert "'mine'" in str(caught.value) or "saved" in message
    assert not list(tmp_path.iterdir())


def test_check_reads_no_tensor_data(tmp_path):
    """It takes the same few milliseconds for a model of any size."""
    states = {"weights": torch.zeros(20_000_000)}
    torch.save(states, tmp_path / "large.pt")
    content = (tmp_path / "large.pt").read_bytes()
    check_loadable(tmp_path / "large.pt", {})
    began = time.process_time()
    check_loadable(tmp_path / "large.pt", {})
    checked = time.process_time() - began
    began = time.process_time()
    load_plain(tmp_path / "large.pt", "cpu")
    assert len(content) > 80_000_000
    assert checked < max(0.02, (time.process_time() - began) / 2)


def test_digest_covers_all_state():
    parts = [{"a": 1}, {"a": 1.0}, {"a": True}, {"a": "1"}, {"a": [1]}, {"a": {"b": 1}}, {"a": None}, {"a": b"1"}]
    parts += [{"a": np.float32(1)}, {"a": np.float64(1)}, {"a": np.arange(2)}, {"a": torch.ones(1)}, {"a": {1}}]
    parts += [{"a": torch.bfloat16}, {"a": torch.float16}, {"b": 1}, {"a": [1, 2]}, {"a": [2, 1]}]
    assert len({weights_digest(part) for part in parts}) == len(parts)


def test_weights_digest_is_stable():
    """Stored digests are compared with those of new trainings."""
    weights = {"b": torch.arange(3, dtype=torch.int64), "a": torch.full((2, 1), 0.5)}
    assert weights_digest(weights) == DIGEST


DIGEST = "d54e4b4995d8727e8d12905d15a449fa44ae6bf6046a3f31aabcab028a0e2686"


def test_undigestible_state_is_named():
    with pytest.raises(TrainableError, match="the model's state 'extra' is a Mine, which has no digest"):
        weights_digest({"extra": Mine()})


def test_extra_state_is_compared(tmp_path):
    for name, scale in (("one", 1.0), ("same", 1.0), ("other", 2.0)):
        (tmp_path / name).mkdir()
        weights = {"weight": torch.ones(2, dtype=torch.bfloat16), "_extra_state": {"scale": np.float64(scale)}}
        torch.save(on_cpu(weights), tmp_path / name / MODEL_FILE)
    assert first_difference(tmp_path / "one", tmp_path / "same") is None
    found = first_difference(tmp_path / "one", tmp_path / "other")
    assert (found.tensor, found.size) == ("_extra_state", None)


def test_object_checkpoint_rejected(tmp_path):
    import hashlib
    import io

    evil = io.BytesIO()
    torch.save({"job": Mine()}, evil)
    (tmp_path / NEWEST).write_bytes(evil.getvalue() + hashlib.sha256(evil.getvalue()).digest())
    with pytest.raises(CheckpointInvalid, match="cannot be read"):
        Checkpoint.load(tmp_path / NEWEST, "job", "cpu")
