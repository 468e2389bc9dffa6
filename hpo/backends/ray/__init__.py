"""A backend on Ray Tune. Importing it imports Ray; nothing outside this package does."""

import os

# Read by Ray while it is imported and handed down to the processes it starts, so they are set before. Tune's loggers,
# snapshots and tables repeat what the database holds; its handler for SIGINT would replace ours; workers must not
# change their folder, because a user's paths are relative to it.
for _name, _value in {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "1e9",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
}.items():
    os.environ.setdefault(_name, _value)

from hpo.backends.ray.backend import RayBackend  # noqa: E402  after the environment that Ray reads
from hpo.backends.ray.joining import check_nodes_have_gpu, connected, machines  # noqa: E402  after the variables above

__all__ = ["RayBackend", "check_nodes_have_gpu", "connected", "machines"]
