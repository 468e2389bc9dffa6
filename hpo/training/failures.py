"""Texts of the exceptions that trainables raise, and the difference between Ctrl-C and a raised KeyboardInterrupt."""

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
"""Folder of this package, whose frames above the trainable's are left out of tracebacks."""

ONLY_A_SEARCH_PRUNES = "the trainable raised TrialPruned, but only a search prunes: should_prune() is never true here"


class CtrlC:
    """Whether Ctrl-C was pressed while user code ran.

    Attributes:
        pressed: whether the SIGINT handler raised; otherwise a KeyboardInterrupt came from user code.
    """

    def __init__(self) -> None:
        self.pressed = False


@contextmanager
def watch_for_ctrl_c() -> Iterator[CtrlC]:
    """Notes until the block ends whether Ctrl-C was pressed; the installed SIGINT handler still handles it.

    Outside the main thread Python delivers no signals, so a KeyboardInterrupt there always comes from user code.
    """
    ctrl_c = CtrlC()
    installed = signal.getsignal(signal.SIGINT)
    if not callable(installed) or threading.current_thread() is not threading.main_thread():
        yield ctrl_c
        return

    def handler(number: int, frame: FrameType | None) -> None:
        try:
            installed(number, frame)
        except BaseException:
            ctrl_c.pressed = True
            raise

    signal.signal(signal.SIGINT, handler)
    try:
        yield ctrl_c
    finally:
        if signal.getsignal(signal.SIGINT) is handler:  # else it was replaced, e.g. by the second Ctrl-C
            signal.signal(signal.SIGINT, installed)


def is_trial_pruned(error: BaseException) -> bool:
    """Whether an error is Optuna's `TrialPruned`, which ported code raises to prune itself. Does not import Optuna."""
    classes = type.mro(type(error))
    return any(one.__name__ == "TrialPruned" and one.__module__.split(".")[0] == "optuna" for one in classes)


def failure_text(error: BaseException, project: Path | None = None) -> str:
    """Returns why a training failed: the message of an hpo error, else the traceback; never empty, and storable.

    Args:
        error: any exception, even one whose own methods raise.
        project: the project's folder, for a hint if a relative path was not found but exists there.
    """
    try:
        message = str(error).strip() if isinstance(error, HpoError) else ""
        # The message of an hpo error says what is wrong; a traceback would only hide it.
        advice = hint(error, project) if project is not None else None
        advice = ONLY_A_SEARCH_PRUNES if is_trial_pruned(error) else advice
        return cleaned("\n".join(filter(None, (message or _traceback(error), advice))))
    except BaseException:  # __str__ or __class__ of the error may raise anything, even SystemExit
        return f"the trainable raised {type_name(error)}, which cannot be shown"


def _traceback(error: BaseException) -> str:
    inner = error.__traceback__
    while inner is not None and inner.tb_frame.f_code.co_filename.startswith(PACKAGE):
        inner = inner.tb_next
    frames = inner or error.__traceback__
    text = "".join(traceback.format_exception(type(error), error, frames, limit=-5)).strip()
    return text or f"the trainable raised {type_name(error)}"
