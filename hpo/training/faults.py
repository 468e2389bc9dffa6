"""What a trainable raised, as the text that is recorded; and Ctrl-C told from a KeyboardInterrupt that code raised."""

from __future__ import annotations

import signal
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from hpo.core.errors import HpoError
from hpo.core.texts import cleaned, type_name
from hpo.study.relative_paths import hint

PACKAGE = str(Path(__file__).parents[1])
"""Where this package lies; its own frames above those of the trainable are left out of a traceback."""


class Interrupts:
    """Whether Ctrl-C was pressed while user code ran.

    Attributes:
        pressed: set when the handler of SIGINT raised; a KeyboardInterrupt without it is the code's own.
    """

    def __init__(self) -> None:
        self.pressed = False


@contextmanager
def interrupts() -> Iterator[Interrupts]:
    """Listens for Ctrl-C until the block ends, and leaves what it does to the handler that is installed.

    Outside the main thread Python delivers no signals, so a KeyboardInterrupt there is always the code's own.
    """
    found = Interrupts()
    before = signal.getsignal(signal.SIGINT)
    if not callable(before) or threading.current_thread() is not threading.main_thread():
        yield found
        return

    def handler(number: int, frame: FrameType | None) -> None:
        try:
            before(number, frame)
        except BaseException:  # passed on as it is
            found.pressed = True
            raise

    signal.signal(signal.SIGINT, handler)
    try:
        yield found
    finally:
        if signal.getsignal(signal.SIGINT) is handler:  # else it was replaced meanwhile, e.g. by the second Ctrl-C
            signal.signal(signal.SIGINT, before)


def prunes(error: BaseException) -> bool:
    """Whether an error is Optuna's `TrialPruned`, by which ported code ends a trial; Optuna is not imported for it."""
    kinds = type.mro(type(error))
    return any(kind.__name__ == "TrialPruned" and kind.__module__.split(".")[0] == "optuna" for kind in kinds)


def fault_of(error: BaseException, project: Path | None = None) -> str:
    """Returns why a training failed: our own sentence, or the traceback; never empty, and fit to be stored.

    Args:
        error: anything that code can raise, also one whose own methods raise.
        project: the project's folder, for advice where a relative path is there and was not found.
    """
    try:
        said = str(error).strip() if isinstance(error, HpoError) else ""
        # Our own sentences say what is wrong; a traceback, and its part in this package, would only hide it.
        advice = hint(error, project) if project is not None else None
        return cleaned("\n".join(filter(None, (said or _traceback(error), advice))))
    except BaseException:  # its __str__, its __class__ or its type may raise anything, also SystemExit
        return f"the trainable raised {type_name(error)}, which cannot be shown"


def _traceback(error: BaseException) -> str:
    inner = error.__traceback__
    while inner is not None and inner.tb_frame.f_code.co_filename.startswith(PACKAGE):
        inner = inner.tb_next
    shown = inner or error.__traceback__
    text = "".join(traceback.format_exception(type(error), error, shown, limit=-5)).strip()
    return text or f"the trainable raised {type_name(error)}"
