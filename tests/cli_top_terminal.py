#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# cli_top_terminal.py QUIPU SEGMENT: `quipu top` in a terminal of its own: what stands on the screen, sizes, keys,
# signals, and that the terminal is left as it was. One line a test, as in shell_support.sh; the segment is there and is
# destroyed at the end.
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
import unicodedata

quipu, segment = sys.argv[1:]
ENTER, LEAVE = "\x1b[?1049h", "\x1b[?1049l"
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def verdict(name, good, *details):
    print(("ok " if good else "not ok ") + "top: " + name)
    for detail in () if good else details:
        print("#  ", repr(detail))


def tool(*words):
    return subprocess.run([quipu, "-s", segment, *words], capture_output=True, text=True)


def stat(field):
    return int(re.search(rf"^{field} +(\d+) ", tool("stat").stdout, re.M)[1])


class Terminal:
    """A pseudo-terminal with `quipu top` in it."""

    def __init__(self, rows, columns, words=(), **variables):
        self.master, self.slave = pty.openpty()
        self.before = termios.tcgetattr(self.slave)
        self.text = ""
        self.resize(rows, columns)
        self.process = subprocess.Popen(
            [quipu, "-s", segment, "top", "--interval", "50", *words], stdin=self.slave, stdout=self.slave,
            stderr=subprocess.PIPE, preexec_fn=self.own_terminal,
            env={"LC_ALL": "C.UTF-8", "TERM": "xterm", **variables})

    def own_terminal(self):
        os.setsid()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGTSTP):
            signal.signal(number, signal.SIG_DFL)  # whoever runs the tests may ignore some, and that is inherited
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    def resize(self, rows, columns):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read(self):
        if select.select([self.master], [], [], 0.05)[0]:
            self.text += os.read(self.master, 1 << 16).decode()

    def wait_for(self, condition):
        """Reads on until the last whole frame satisfies the condition; that frame's lines, or None after 10 s."""
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            self.read()
            frames = self.text.split("\x1b[H")[1:]
            whole = [frame for frame in frames if "\x1b[J" in frame]
            if whole:
                lines = COLOUR.sub("", whole[-1].split("\x1b[J")[0]).replace("\x1b[K", "").split("\r\n")
                if condition(lines):
                    return lines
        return None

    def wait_until_stopped(self):
        return os.WIFSTOPPED(os.waitpid(self.process.pid, os.WUNTRACED)[1])

    def end(self):
        """What it wrote to the end, and its status."""
        status = self.process.wait(10)
        while select.select([self.master], [], [], 0)[0]:
            self.read()
        return self.text, status

    def is_as_before(self):
        return termios.tcgetattr(self.slave) == self.before


def width(line):
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 0 if unicodedata.combining(c) else 1 for c in line)


def find(lines, key):
    return next((line for line in lines if key in line), "")


try:
    for descriptor in pty.openpty():
        os.close(descriptor)
except OSError as error: # a bare chroot has no /dev/pts
    print(f"# skipped: top in a terminal: {error}")
    tool("destroy")
    sys.exit(77)

# ---- what stands there -----------------------------------------------------------------------------------------------

tool("strategy", "put", "top:", "kind=limit", "limit=5", "window=24h")
for _ in range(7):
    tool("take", "top:denied")
for i in range(40):
    tool("add", f"many:{i:02}")
tool("add", "wide:漢字" + "漢" * 40, "1000")
tool("add", "control:\\x1b[31m", "2000")
tool("set", "a-register", "999999999")

terminal = Terminal(24, 80)
frame = terminal.wait_for(lambda lines: find(lines, "top:denied"))
verdict("a frame", frame, terminal.text)
frame = frame or [""]
verdict("it fills the screen, and not more", len(frame) == 24, frame)
verdict("no line is longer than the screen", all(width(line) <= 80 for line in frame), frame)
verdict("the segment is named", frame[0].startswith(segment), frame)
verdict("a limit's row", re.match(r" +0 +0 +5 +2 +5 +0 .* top:denied$", find(frame, "top:denied")), frame)
verdict("control bytes are escaped", "control:\\x1b[31m" in find(frame, "control:"), frame)
verdict("a wide key is cut", re.search(r"wide:漢字漢+>$", find(frame, "wide:")), frame)
verdict("no register before what is counted", not find(frame, "a-register"), frame)
verdict("it is no process of the segment", stat("processes_used") - 1 == 0 and stat("threads_used") <= 1)

busy = None
for _ in range(100):
    tool("add", "many:39", "5000")
    busy = terminal.wait_for(lambda lines: lines) or [""]
    if re.search(r"^ *[0-9.]+k .*[▁-█].*many:39$", busy[3] if len(busy) > 3 else ""):
        break
verdict("what counts comes first, with its rate and history", busy[3:] and busy[3].endswith("many:39"), busy)

# ---- keys and sizes --------------------------------------------------------------------------------------------------

os.write(terminal.master, b"\x1b[Ad")
os.write(terminal.master, b"d")
frame = terminal.wait_for(lambda lines: "by denied" in lines[0])
verdict("d: those denied come first", frame and frame[3].endswith("top:denied"), frame, terminal.text[-500:])
os.write(terminal.master, b"c")
frame = terminal.wait_for(lambda lines: "by count" in lines[0])
verdict("c: the highest counts come first", frame and frame[3].endswith("many:39"), frame)
terminal.resize(10, 60)
frame = terminal.wait_for(lambda lines: len(lines) <= 10)
verdict("a smaller screen", frame and len(frame) == 10 and all(width(line) <= 60 for line in frame), frame)
terminal.resize(50, 132)
frame = terminal.wait_for(lambda lines: len(lines) > 24)
verdict("a larger screen", frame and 50 >= len(frame) and any(100 < width(line) <= 132 for line in frame[3:]), frame)
terminal.resize(2, 20)
frame = terminal.wait_for(lambda lines: all(width(line) <= 20 for line in lines))
verdict("a tiny screen", frame, terminal.text[-500:])

# ---- leaving ---------------------------------------------------------------------------------------------------------

verdict("while it is there, keys come one by one", not terminal.is_as_before())
os.write(terminal.master, b"q")
text, status = terminal.end()
verdict("q leaves", status == 0, status)
verdict("the screen is as before", ENTER in text and text.endswith(LEAVE), text[-200:])
verdict("the terminal is as before", terminal.is_as_before())

for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    terminal = Terminal(24, 80)
    terminal.wait_for(lambda lines: lines)
    if number == signal.SIGINT:
        os.write(terminal.master, b"\x03")
    else:
        terminal.process.send_signal(number)
    text, status = terminal.end()
    verdict(f"{number.name} ends it", status == -number, status)
    verdict(f"{number.name}: the terminal is as before", text.endswith(LEAVE) and terminal.is_as_before(), text[-200:])

terminal = Terminal(24, 80, ["--by", "denied"], NO_COLOR="1", LC_ALL="C")
frame = terminal.wait_for(lambda lines: find(lines, "top:denied"))
verdict("--by", frame and frame[3].endswith("top:denied"), frame)
verdict("NO_COLOR: no colours", not COLOUR.search(terminal.text), terminal.text[:500])
verdict("without UTF-8: ASCII", terminal.text.isascii(), terminal.text[:2000])
terminal.process.send_signal(signal.SIGTSTP)
verdict("it can be stopped", terminal.wait_until_stopped())
terminal.read()
verdict("stopped: the terminal is as before", terminal.text.endswith(LEAVE) and terminal.is_as_before())
terminal.text = ""
terminal.process.send_signal(signal.SIGCONT)
frame = terminal.wait_for(lambda lines: find(lines, "top:denied"))
verdict("it goes on", frame and ENTER in terminal.text and not terminal.is_as_before(), terminal.text[-500:])
tool("destroy")
text, status = terminal.end()
said = terminal.process.stderr.read().decode()
verdict("a segment that is destroyed ends it", status == 3 and "destroyed" in said, status, said)
verdict("destroyed: the terminal is as before", text.endswith(LEAVE) and terminal.is_as_before(), text[-200:])
