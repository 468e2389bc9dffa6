"""Other libraries' trainings, reported step by step. Each module needs its library; import the one that is meant."""
