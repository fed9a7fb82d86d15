from __future__ import annotations

import os
import subprocess
import sys
import time

from kubestead import processes

# Begins children for as long as it lives, each in a session of its own, as Ansible's workers are.
FORKING = (
    "import os, time\n"
    "while True:\n"
    "    if os.fork() == 0:\n"
    "        os.setsid()\n"
    "        time.sleep(60)\n"
    "        os._exit(0)\n"
    "    time.sleep(0.01)\n"
)


def test_none_escapes_by_beginning_another_meanwhile() -> None:
    with subprocess.Popen(["sleep", "60"]) as spared, subprocess.Popen([sys.executable, "-c", FORKING]) as forking:
        try:
            while len(processes.descendants(forking.pid)) < 5:
                time.sleep(0.01)
            held = processes.hold({spared.pid})
            assert forking.pid in held
            assert spared.pid not in held
            time.sleep(0.1)
            assert processes.descendants(forking.pid) | {forking.pid} <= held
            processes.end(held)
            assert not [pid for pid in held if processes.started(pid)]
            assert spared.poll() is None
        finally:
            processes.end({spared.pid, forking.pid} | processes.descendants(forking.pid))


def test_with_nothing_begun_there_is_nothing_to_hold() -> None:
    assert processes.hold(processes.descendants(os.getpid())) == set()
