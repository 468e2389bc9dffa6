"""Turns seeds into random numbers: named streams, and seeds derived from a seed."""
