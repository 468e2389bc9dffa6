"""Mammograms: listed, decoded, divided, trained on, explained."""
