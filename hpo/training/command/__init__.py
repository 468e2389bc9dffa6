"""Trains with a program of another process, in any language: what it prints or writes becomes the metrics."""

from hpo.training.command.training import attempt_mark, left_by, train

__all__ = ["attempt_mark", "left_by", "train"]
