"""Breast density, A to D, with a U-Net on synthetic mammograms. Run it from a clone: `models` is not installed.

With images of your own, set `data` to a folder with subfolders A, B, C and D.
"""

import hpo
from models.density import train

FIXED = {"data": "phantoms", "images": 200, "size": 32, "width": 4}
SPACE = {
    "lr": hpo.Float(1e-3, 1e-1, log=True),
    "dropout": hpo.Float(0.0, 0.5),
    "mask_weight": hpo.Choice([0.0, 0.5]),
}

study = hpo.Study(
    name="density",
    trainable=train,
    objective=hpo.maximize("val_kappa", label="Quadratic kappa"),
    space=SPACE,
    fixed=FIXED,
    search={"trials": 3, "budget": 4},
    promotion={"top": 2},
)

if __name__ == "__main__":
    config = hpo.RunConfig(storage="sqlite:///density.db", backend="local")
    print(hpo.run(study, config))
    print(hpo.promote(study, config))
