"""Tell the service manager of systemd how a process is."""

import logging
import os
import socket
from typing import Final

_LOG: Final = logging.getLogger("trendtrain.live")


def notify(state: str) -> None:
    """Send a state, as `sd_notify` does; nothing where no service manager listens.

    Args:
        state: Such as `READY=1`, `WATCHDOG=1`, `STOPPING=1` or `STATUS=...`, one a line.
    """
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.connect(f"\0{address[1:]}" if address.startswith("@") else address)
            channel.sendall(state.encode())
    except OSError as error:
        _LOG.warning("the service manager was not told %s: %s", state.splitlines()[0], error)
