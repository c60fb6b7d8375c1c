import signal
import threading

import pytest

from trendtrain.callbacks.interrupts import delay_interrupts


def test_an_interrupt_waits_for_the_end_of_the_block() -> None:
    done = []

    def work() -> None:
        with delay_interrupts():
            signal.raise_signal(signal.SIGINT)
            done.append("the whole block")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert done == ["the whole block"]


def test_without_an_interrupt_nothing_happens() -> None:
    before = signal.getsignal(signal.SIGINT)
    with delay_interrupts():
        assert signal.getsignal(signal.SIGINT) is not before
    assert signal.getsignal(signal.SIGINT) is before


def test_the_handler_is_put_back_after_an_error() -> None:
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(RuntimeError, match="in the block"), delay_interrupts():
        raise RuntimeError("in the block")
    assert signal.getsignal(signal.SIGINT) is before


def test_two_interrupts_are_delivered_as_one() -> None:
    count = []
    signal.signal(signal.SIGINT, lambda number, frame: count.append(number))
    with delay_interrupts():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
    assert count == [signal.SIGINT]


def test_another_thread_runs_the_block_as_it_is() -> None:
    done = []

    def work() -> None:
        with delay_interrupts():
            done.append(1)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == [1]
