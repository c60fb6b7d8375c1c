"""Delay Ctrl-C while a step is being committed."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def delay_interrupts() -> Iterator[None]:
    """Deliver a SIGINT that arrives inside the block at its end, so that the block is done wholly or not at all.

    Only the main thread can handle signals; elsewhere the block runs without protection.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    delayed: list[int] = []

    def keep(number: int, frame: FrameType | None) -> None:
        delayed.append(number)

    before = signal.signal(signal.SIGINT, keep)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if delayed:
            signal.raise_signal(signal.SIGINT)
