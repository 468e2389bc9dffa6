"""Trainables and what they need: data, networks, metrics. They see no more of hpo than its public names."""
