"""Which method finds the best configuration for so many trainings; `make bench-selection`."""
