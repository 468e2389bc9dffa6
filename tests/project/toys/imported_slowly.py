"""A module whose import takes a while; where it is not interrupted it says so in the file that TOY_WHOLE names."""

import os
import time
from pathlib import Path

time.sleep(1.5)
Path(os.environ["TOY_WHOLE"]).touch()
