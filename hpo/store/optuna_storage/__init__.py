"""Reads and writes studies and trials in Optuna's tables, through Optuna."""
