"""Where a seed becomes random numbers: named streams, and seeds derived from seeds."""
