"""A process that forks workers for another one, which has threads by then: to fork that one is not safe."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from functools import partial
from typing import Any

from clsnorm.launch.one_machine import die_with_parent


def start(work: Callable[[], Any]) -> int:
    """Runs ``work`` in a fork of this process and returns its number; it ends with status 1 if ``work`` raises."""
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        die_with_parent()  # Lightning lets a process survive SIGTERM
        status = 1
        try:
            work()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    return child


def wait(child: int) -> int:
    """Waits for a process that `start` started; returns its exit status, or minus the signal that killed it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


class ForkServer:
    """Forks this process as it is now, whenever it is asked to.

    Args:
        work: What each fork does with the request that it gets.
    """

    def __init__(self, work: Callable[[dict[str, Any]], Any]) -> None:
        self._socket, theirs = socket.socketpair()
        start(lambda: _serve(theirs, work))
        theirs.close()

    def run(self, requests: list[dict[str, Any]]) -> list[int]:
        """Runs a fork for each request, all at once, and returns their exit statuses."""
        with self._socket.makefile("rw") as stream:
            stream.write(json.dumps(requests) + "\n")
            stream.flush()
            statuses: list[int] = json.loads(stream.readline())
            return statuses


def _serve(connection: socket.socket, work: Callable[[dict[str, Any]], Any]) -> None:
    with connection.makefile("rw") as stream:
        for line in stream:
            children = [start(partial(work, request)) for request in json.loads(line)]
            stream.write(json.dumps(_wait_for_all(children)) + "\n")
            stream.flush()


def _wait_for_all(children: list[int]) -> list[int]:
    """Returns the exit statuses; once a process has failed, kills the others, which may wait for it for ever."""
    statuses: dict[int, int] = {}
    while len(statuses) < len(children):
        child, code = os.wait()
        statuses[child] = os.waitstatus_to_exitcode(code)
        if code != 0:
            for other in set(children) - set(statuses):
                os.kill(other, signal.SIGKILL)
    return [statuses[child] for child in children]
