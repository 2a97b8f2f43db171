"""Commands that start processes of their own: waited for as long as a busy machine needs, and none of them left behind."""

import contextlib
import os
import subprocess
import uuid

import psutil

# Each process and all that it starts carry the launch's name here: workers of torch's launcher lead groups of their own.
MARK = "LAUNCH_OF_TESTS"
SECONDS = 300  # on an idle machine, where the longest launch takes 60


def run_launch(command, env=None, seconds=SECONDS, **options):
    """Runs the command to its end, `seconds` times the load of each core at most; then ends all that it has started.

    Returns:
        what `subprocess.run` does, with its output.
    """
    name = uuid.uuid4().hex
    limit = seconds * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
    try:
        return subprocess.run(
            command, env=(env or os.environ) | {MARK: name}, capture_output=True, text=True, timeout=limit, **options
        )
    finally:
        left = processes_of(name)
        for process in left:
            with contextlib.suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(left, timeout=10)


def processes_of(name):
    """All running processes of a launch."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get(MARK) == name:
                found.append(process)
    return found
