"""bochs_terminal.py SERIAL COMMAND...: runs Bochs on a terminal of its own, reads the second one that its display
opens, and prints what comes to the file SERIAL meanwhile. Ends with Bochs, or by SIGTERM, which kills it."""
import os
import pty
import re
import select
import signal
import sys


def main():
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ["TERM"] = "xterm"
        os.execvp(sys.argv[2], sys.argv[2:])

    def end(*_):
        os.kill(pid, signal.SIGKILL)
        os._exit(124)

    signal.signal(signal.SIGTERM, end)
    watched, screen_line = [terminal], b""
    with open(sys.argv[1], "rb") as serial:
        running = True
        while running:
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


main()
