"""The search as a job source, on Optuna's samplers and pruners."""
