"""Imported in the midst of a training: what its import does must be done for the next training too."""

import logging

SETTING = 0
logging.getLogger("toys").setLevel(logging.ERROR)
