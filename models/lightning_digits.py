"""A small Lightning network on handwritten digits; needs the extra `lightning`.

The worker processes of its data loader shift the images randomly.

Shapes: N images, T training images, V validation images, B images of a batch, C classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import lightning
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset, TensorDataset

from hpo import Context
from hpo.integrations.lightning import fit
from models.common.handwritten import DIGITS, NAMES, cases, handwritten_digits
from models.common.metrics import classification_metrics
from models.digits import DigitsNet


@dataclass(frozen=True, slots=True, kw_only=True)
class LightningDigitsParams:
    """The params of the training.

    Attributes:
        lr: initial learning rate, with cosine decay to 0.
        width: channels of the first layer, doubled in the second.
        dropout: dropout probability before the last layer.
        batch: maximum batch size.
        shift: maximum shift of an image in pixels, vertically and horizontally.
        workers: number of processes that load the images; 0: the process of the training.
        validation: fraction of the 1797 images used for validation.
    """

    lr: float = 0.01
    width: int = 16
    dropout: float = 0.1
    batch: int = 32
    shift: int = 1
    workers: int = 2
    validation: float = 0.75


class ShiftedDigits(Dataset[tuple[Tensor, Tensor]]):
    """Images that are shifted randomly whenever they are read.

    Args:
        image_T1HW: training images (T, 1, H, W).
        label_T: classes of the images (T,).
        shift: maximum shift in pixels, in each direction.
    """

    def __init__(self, image_T1HW: Tensor, label_T: Tensor, shift: int) -> None:
        self._image_T1HW = image_T1HW
        self._label_T = label_T
        self._shift = shift

    def __len__(self) -> int:
        return len(self._label_T)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        down, right = torch.randint(-self._shift, self._shift + 1, (2,)).tolist()
        return self._image_T1HW[index].roll((down, right), (1, 2)), self._label_T[index]


class LightningDigits(lightning.LightningModule):  # type: ignore[misc]  # Lightning may not be installed
    """A `DigitsNet` as a LightningModule that logs the metrics of `models.common.metrics`.

    Args:
        params: params of the training.
    """

    def __init__(self, params: LightningDigitsParams) -> None:
        super().__init__()
        self._params = params
        self._graded: list[tuple[Tensor, Tensor]] = []
        self.net = DigitsNet(width=params.width, norm="batch", dropout=params.dropout)

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """Returns the loss of a batch."""
        image_B1HW, label_B = batch
        loss = functional.cross_entropy(self.net(image_B1HW), label_B)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Collects the probabilities of a batch."""
        image_B1HW, label_B = batch
        self._graded.append((label_B, self.net(image_B1HW).softmax(1)))

    def on_validation_epoch_end(self) -> None:
        """Logs the metrics of all validation images."""
        label_V, graded_VC = (torch.cat(parts).cpu() for parts in zip(*self._graded, strict=True))
        self._graded.clear()
        found = classification_metrics(label_V.numpy(), graded_VC.double().numpy())
        self.log_dict({name: value for name, value in found.items() if value is not None})

    def configure_optimizers(self) -> Any:
        """Returns AdamW and its learning rate schedule over all epochs."""
        optimizer = torch.optim.AdamW(self.parameters(), lr=self._params.lr)
        return [optimizer], [torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, self.trainer.max_epochs)]


def train(params: LightningDigitsParams, ctx: Context) -> None:
    """Trains the network and reports `train_loss` and the metrics of `models.common.metrics` after each epoch."""
    image_N1HW, label_N = handwritten_digits()
    train_T, held_out_V = ctx.split(label_N, validation=params.validation, names=NAMES)
    image_T1HW, label_T = torch.tensor(image_N1HW[train_T]), torch.tensor(label_N[train_T])
    image_V1HW, label_V = torch.tensor(image_N1HW[held_out_V]), torch.tensor(label_N[held_out_V])
    with ctx.streams.init.as_global():
        model = LightningDigits(params)
    learned = DataLoader(
        ShiftedDigits(image_T1HW, label_T, params.shift), params.batch, shuffle=True, num_workers=params.workers
    )
    fit(model, learned, DataLoader(TensorDataset(image_V1HW, label_V), 512), ctx=ctx)
    ctx.save_predictions(
        truth=label_N[held_out_V],
        probabilities=probabilities(model, image_V1HW),
        labels=DIGITS,
        names=NAMES,
        cases=cases(held_out_V),
    )


def probabilities(model: LightningDigits, image_V1HW: Tensor) -> npt.NDArray[np.float64]:
    """Returns the probability of each class (V, C)."""
    model.eval()
    with torch.inference_mode():
        graded_VC = torch.cat([model.net(part).softmax(1) for part in torch.split(image_V1HW, 512)])
    return np.asarray(graded_VC.double().numpy())
