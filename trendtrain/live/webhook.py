"""Send what happens to a URL: an example of a subscriber."""

import json
import os
import urllib.request
from collections.abc import Sequence
from functools import partial
from typing import Any

from trendtrain.errors import InputError, check_number
from trendtrain.live.subscribers import HOOKS


class Webhook:
    """Send each message as JSON to a URL, by POST; `hook` in it says which one it is.

    Args:
        variable: Name of the environment variable that holds the URL: whoever knows it may write there, so it stays
            out of files and logs.
        hooks: Which messages to send.
        timeout: Seconds for which an answer is waited for.

    Raises:
        InputError: If the variable holds no URL, or an argument breaks its rule.
    """

    def __init__(self, variable: str, hooks: Sequence[str] = ("on_verdict", "on_alarm"), timeout: float = 5.0) -> None:
        check_number("timeout", timeout, 0.001)
        if unknown := [hook for hook in hooks if hook not in HOOKS]:
            raise InputError(f"`hooks` must be among {', '.join(HOOKS)}, got {unknown[0]}.")
        if not os.environ.get(variable, "").startswith(("http://", "https://")):
            raise InputError(f"`variable` must name an environment variable with an http(s) URL, got {variable}.")
        self.variable = variable
        self.hooks = tuple(hooks)
        self.timeout = timeout
        for hook in self.hooks:
            setattr(self, hook, partial(self.send, hook))

    def send(self, hook: str, message: dict[str, Any]) -> None:
        """Send a message.

        Raises:
            OSError: If it cannot be sent, or the answer is an error.
        """
        body = json.dumps({"hook": hook, **message}).encode()
        request = urllib.request.Request(os.environ[self.variable], body, {"Content-Type": "application/json"})
        urllib.request.urlopen(request, timeout=self.timeout).close()
