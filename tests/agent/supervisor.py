#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# supervisor.py: an agent's supervisor, as systemd is one: hears what it is told, in the order in which it must come.
# Usage: supervisor.py QUIPUD CONFIG
import os
import signal
import socket
import subprocess
import sys
import tempfile

folder = tempfile.mkdtemp(dir="/dev/shm")
path = os.path.join(folder, "notify")
ear = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
ear.bind(path)
ear.settimeout(60)


def hear(wanted):
    while True:
        told = ear.recv(4096).decode()
        print(told.replace("\n", " "))
        if wanted in told:
            return told


environment = dict(os.environ, NOTIFY_SOCKET=path, WATCHDOG_USEC="200000")
agent = subprocess.Popen([sys.argv[1], "--config", sys.argv[2]], env=environment)
try:
    assert "STATUS=" in hear("READY=1")
    hear("WATCHDOG=1")
    hear("WATCHDOG=1")
    agent.send_signal(signal.SIGHUP)
    assert "MONOTONIC_USEC=" in hear("RELOADING=1")
    hear("READY=1")
    agent.send_signal(signal.SIGTERM)
    hear("STOPPING=1")
    assert agent.wait(60) == 0
finally:
    if agent.poll() is None:
        agent.kill()
    os.unlink(path)
    os.rmdir(folder)
