"""A launch that takes too long ends with all of its processes, those that lead groups of their own among them."""

import subprocess
import sys

import launches
import psutil
import pytest

# As torch's launcher does: its worker leads a group of its own.
LAUNCHER = """
import subprocess, sys, time
worker = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
open(sys.argv[1], "w").write(str(worker.pid))
time.sleep(600)
"""


def test_a_launch_without_an_end_leaves_no_process(tmp_path):
    with pytest.raises(subprocess.TimeoutExpired):
        launches.run_launch([sys.executable, "-c", LAUNCHER, str(tmp_path / "pid")], seconds=3)
    worker = int((tmp_path / "pid").read_text())
    assert not psutil.pid_exists(worker) or psutil.Process(worker).status() == psutil.STATUS_ZOMBIE
