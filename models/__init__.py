"""Trainables with their data, networks and metrics. They use only the public names of hpo."""
