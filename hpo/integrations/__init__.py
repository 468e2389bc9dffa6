"""Other libraries' trainings, reported step by step, and observers that log to other tools.

Each module needs its library; import the one that is meant.
"""
