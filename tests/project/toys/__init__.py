"""A user's own project: trainables that end in every way a training can."""
