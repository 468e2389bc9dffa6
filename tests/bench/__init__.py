"""What a trial, a start and a context cost, against Optuna alone and against Ray Tune's own search: `make bench`."""
