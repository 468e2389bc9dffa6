"""Training by a program in its own process, in any language: what it prints or writes becomes the metrics."""

from hpo.training.command.training import attempt_digest, train, was_left_by

__all__ = ["attempt_digest", "train", "was_left_by"]
