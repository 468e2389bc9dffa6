"""What several trainables share: splits, the training loop, schedules, metrics."""
