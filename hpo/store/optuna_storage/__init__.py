"""Optuna's own tables: studies and trials, read and written through Optuna."""
