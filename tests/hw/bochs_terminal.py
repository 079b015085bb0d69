"""bochs_terminal.py SECONDS SERIAL COMMAND...: runs Bochs on a terminal of its own, reads the second one that its display
opens, and prints what comes to the file SERIAL meanwhile. Ends with Bochs, or kills it after SECONDS."""
import os
import pty
import re
import select
import signal
import sys
import time


def main():
    limit = time.monotonic() + float(sys.argv[1])
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ["TERM"] = "xterm"
        os.execvp(sys.argv[3], sys.argv[3:])
    watched, screen_line = [terminal], b""
    with open(sys.argv[2], "rb") as serial:
        running = True
        while running and time.monotonic() < limit:
            for ready in select.select(watched, [], [], 0.5)[0]:
                try:
                    data = os.read(ready, 65536)
                except OSError:
                    data = b""
                if not data:
                    watched.remove(ready)
                    running = running and ready != terminal
                screen_line = (screen_line + data)[-4096:]
                screen = re.search(rb'connected to screen "([^"]+)"', screen_line)
                if screen and len(watched) == 1:
                    watched.append(os.open(screen.group(1).decode(), os.O_RDONLY | os.O_NOCTTY))
            sys.stdout.buffer.write(serial.read())
            sys.stdout.flush()
    if running:
        os.kill(pid, signal.SIGKILL)
        return 124
    return 0


sys.exit(main())
