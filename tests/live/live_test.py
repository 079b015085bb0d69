"""--live as a user sees it: the program on a terminal of its own, its screen read, its keys typed, and the terminal
looked at when it has gone, whatever made it go.

live_test.py KVMUX GUEST.elf ECHO.elf [word …]: the cases whose names have one of the words; all without. GUEST is
any guest of `run`, ECHO an image of `boot` that prints what is typed.
Exits with 77 where there is no KVM."""
import fcntl
import json
import os
import select
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time

from vt import Screen

KVMUX, GUEST, ECHO = sys.argv[1:4]
SLOW = float(os.environ.get("KVMUX_SLOW", "1"))  # a busy host, sanitizers


def session(command, slave, say, hear, environment):
    """A shell as small as can be: gives the program the terminal, takes it back when it stops or ends, and says how
    the terminal looks then. Unlike real shells it repairs nothing."""
    os.setsid()
    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    child = os.fork()
    if child == 0:
        os.setpgid(0, 0)
        os.tcsetpgrp(slave, os.getpid())  # while SIGTTOU is ignored: it is still in the background
        signal.signal(signal.SIGTTOU, signal.SIG_DFL)
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        for fd in (0, 1, 2):
            os.dup2(slave, fd)
        os.closerange(3, 256)
        if environment.get("STDOUT"):
            os.dup2(os.open(environment["STDOUT"], os.O_WRONLY | os.O_CREAT, 0o600), 1)
        os.execve(command[0], command, environment)
    signal.signal(signal.SIGHUP, lambda *_: os.killpg(child, signal.SIGHUP))  # the terminal hangs up
    while True:
        _, status = os.waitpid(child, os.WUNTRACED)
        try:
            os.tcsetpgrp(slave, os.getpgrp())
            settings = termios.tcgetattr(slave)
        except (OSError, termios.error):
            settings = None  # hung up
        stopped = os.WIFSTOPPED(status)
        code = os.WSTOPSIG(status) if stopped else os.waitstatus_to_exitcode(status)
        os.write(say, (json.dumps({"pid": child, "stopped": stopped, "code": code,
                                   "settings": repr(settings)}) + "\n").encode())
        if not stopped:
            os._exit(0)
        os.read(hear, 1)  # fg
        os.tcsetpgrp(slave, child)
        os.kill(-child, signal.SIGCONT)


class Run:
    def __init__(self, *arguments, rows=24, columns=80, **environment):
        self.screen = Screen(rows, columns)
        self.master, self.slave = os.openpty()
        self.size(rows, columns)
        self.before = repr(termios.tcgetattr(self.slave))
        from_shell, say = os.pipe()
        hear, self.to_shell = os.pipe()
        environment = {"TERM": "xterm", "LC_ALL": "C.UTF-8", "PATH": os.environ["PATH"], **environment}
        self.shell = os.fork()
        if self.shell == 0:
            try:
                os.close(self.master)  # so that closing it hangs up
                session([KVMUX, *arguments], self.slave, say, hear, environment)
            finally:
                os._exit(99)
        os.close(say)
        os.close(hear)
        self.events = os.fdopen(from_shell)
        self.bytes = b""
        Run.all.append(self)

    all = []

    @classmethod
    def kill_all(cls):
        """What a failed case has left."""
        for it in cls.all:
            subprocess.run(["pkill", "-KILL", "-s", str(it.shell)], check=False)
        cls.all.clear()

    def size(self, rows, columns):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.screen.resize(rows, columns)

    def type(self, keys):
        os.write(self.master, keys.encode())

    def read(self, seconds=0.05):
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if not select.select([self.master], [], [], left)[0]:
                break
            self.bytes += os.read(self.master, 65536)
            text = self.bytes.decode(errors="ignore")
            if text.encode() == self.bytes or len(self.bytes) > 100000:
                self.bytes = b""
            else:  # the end may be half a character
                text = self.bytes[:-3].decode(errors="ignore")
                self.bytes = self.bytes[len(text.encode()):]
            self.screen.feed(text)

    def until(self, what, seconds=15):
        """Reads on until this is true of the screen's text (or the text is in it)."""
        is_there = what if callable(what) else lambda text: what in text
        end = time.monotonic() + seconds * SLOW
        while not is_there(self.screen.text()):
            if select.select([self.events], [], [], 0)[0]:
                self.read(0.2)
                if not is_there(self.screen.text()):
                    raise AssertionError("%r does not come: %s%s" % (what, self.events.readline(), self.screen.plain))
                break
            assert time.monotonic() < end, "%r does not come:\n%s\n%s" % (what, self.screen.text(), self.screen.plain)
            self.read()
        return self.screen.text()

    def event(self, seconds=20):
        """The program has stopped or ended."""
        end = time.monotonic() + seconds * SLOW
        while not select.select([self.events], [], [], 0)[0]:
            assert time.monotonic() < end, "it neither stops nor ends:\n" + self.screen.text()
            self.read()
        event = json.loads(self.events.readline())
        self.read(0.2)
        return event

    def pid(self):
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                try:
                    with open("/proc/%s/stat" % entry) as stat:
                        fields = stat.read().rsplit(")", 1)[1].split()
                except OSError:
                    continue
                if int(fields[1]) == self.shell:
                    return int(entry)
        raise AssertionError("it is not there")

    def is_restored(self, event):
        """Settings as before, the ordinary screen, a cursor."""
        assert event["settings"] == self.before, "%s\n%s" % (event["settings"], self.before)
        assert not self.screen.alternate and self.screen.cursor, "the screen was not left"
        assert self.screen.entered == self.screen.left, (self.screen.entered, self.screen.left)

    def ends(self, code, says=""):
        event = self.event()
        assert not event["stopped"] and event["code"] == code, "%r\n%s" % (event, self.screen.plain)
        self.is_restored(event)
        assert says in self.screen.plain, self.screen.plain
        os.close(self.master)
        os.close(self.slave)
        os.waitpid(self.shell, 0)
        return self.screen.plain


LOCK = ("--guest", "lock", "--lock", "ticket", "--vms", "2", "--vcpus", "4", "--workers", "2", "--warmup", "50ms")


def run(*more, policy="v2", seconds="60", **how):
    return Run("run", *LOCK, "--policy", policy, "--seconds", seconds, "--live", *more, **how)


def case_screen_and_results():
    it = run(seconds="1.5")
    text = it.until(lambda t: "hit" in t and "0.0" in t)
    for what in ("kvmux run", "w0", "w1", "vCPU", "1.3", "yields", "switches", "r relaxed=on", "q quits"):
        assert what in text, (what, text)
    assert all(mark in text for mark in "█▓░"), text
    lines = text.split("\n")
    assert len(lines) == 24 and lines[0].startswith(" kvmux run")
    assert it.screen.plain == "", it.screen.plain  # nothing went over it
    printed = it.ends(0, "throughput")
    assert it.screen.entered == 1 and printed.count("CPUs:") == 1


def case_key_switches_a_feature():
    with tempfile.TemporaryDirectory() as folder:
        trace, results = folder + "/t.trace", folder + "/r.json"
        it = run("--trace", trace, "--json", results)
        it.until("r relaxed=on")
        it.until("0.1")
        it.type("r")
        it.until("r relaxed=off")
        it.until("relaxed=off since")
        time.sleep(0.4)
        it.type("q")
        it.ends(130, "v2,relaxed=off")
        dump = subprocess.run([KVMUX, "trace", "dump", trace], capture_output=True, text=True, check=True).stdout
        assert " policy " in dump, dump[:2000]
        with open(results) as file:
            run_of = json.load(file)["runs"][0]
        changes, sections = run_of["spec"]["changes"], run_of["result"]["sections"]
        assert len(changes) == 1 and len(sections) == 2, (changes, sections)


def case_q_prints_what_was_measured():
    it = run()
    it.until("hit")
    it.type("q")
    it.ends(130, "throughput")


def case_ctrl_c():
    it = run()
    it.until("hit")
    it.type("\x03")
    it.ends(130, "throughput")


def case_stop_and_go_on():
    it = run()
    it.until("hit")
    for _ in range(2):
        it.type("\x1a")
        event = it.event()
        assert event["stopped"] and event["code"] == signal.SIGTSTP, "%s\n%s" % (event, it.screen.plain)
        it.is_restored(event)
        os.write(it.to_shell, b"f")
        it.until("kvmux run")
        it.until("hit")
    os.kill(it.pid(), signal.SIGSTOP)  # leaves no time to restore anything
    event = it.event()
    assert event["stopped"], "%s\n%s" % (event, it.screen.plain)
    os.write(it.to_shell, b"f")
    it.until("hit")
    it.type("q")
    event = it.event()
    assert event["code"] == 130 and event["settings"] == it.before and not it.screen.alternate, (event, it.screen.plain)


def case_signals():
    for number, code in ((signal.SIGTERM, 130), (signal.SIGHUP, 130), (signal.SIGSEGV, -signal.SIGSEGV),
                         (signal.SIGABRT, -signal.SIGABRT), (signal.SIGQUIT, -signal.SIGQUIT)):
        it = run()
        it.until("hit")
        os.kill(it.pid(), number)
        it.ends(code, "throughput" if code == 130 else "")


def broken_guest(folder):
    """Its first instruction is one that there is not."""
    with open(GUEST, "rb") as file:
        image = bytearray(file.read())
    entry, headers = struct.unpack_from("<QQ", image, 24)
    size, count = struct.unpack_from("<HH", image, 54)
    for at in range(headers, headers + size * count, size):
        kind, _, offset, virtual, _, length = struct.unpack_from("<IIQQQQ", image, at)
        if kind == 1 and virtual <= entry < virtual + length:
            image[offset + entry - virtual:offset + entry - virtual + 2] = b"\x0f\x0b"
    with open(folder + "/broken", "wb") as file:
        file.write(image)
    return folder + "/broken"


def case_guest_fails():
    with tempfile.TemporaryDirectory() as folder:
        it = Run("run", "--guest", broken_guest(folder), "--vcpus", "1", "--seconds", "5", "--live")
        it.ends(1, "triple fault")


def case_hang_up():
    it = run()
    it.until("hit")
    pid = it.pid()
    os.close(it.slave)
    os.close(it.master)
    event = json.loads(it.events.readline())
    assert event["code"] in (130, 3), event
    assert not os.path.exists("/proc/%d" % pid)


def case_sizes():
    it = run()
    it.until("hit")
    it.size(50, 160)
    text = it.until(lambda t: "hit" in t and len(t.split("\n")[0]) > 100)
    assert "1.3" in text and len(text.split("\n")) == 50, text
    it.size(5, 30)
    it.until("too small")
    it.size(14, 70)
    text = it.until(lambda t: "0.0" in t and "rows 1 to" in t)
    it.type("\x1b[B\x1b[B")
    it.until("rows 3 to")
    it.type("\x1b[1~")
    it.until("rows 1 to")
    it.type("q")
    it.ends(130)


def case_results_elsewhere():
    with tempfile.TemporaryDirectory() as folder:
        it = run(seconds="1", STDOUT=folder + "/out")
        it.until("hit")
        it.ends(0)
        with open(folder + "/out") as file:
            assert "throughput" in file.read()
        assert "throughput" not in it.screen.plain


def case_not_utf8():
    it = run(LC_ALL="C")
    text = it.until("hit")
    assert all(ord(c) < 128 for c in text.split("\n", 1)[1]), text
    assert "#" in text and "%" in text
    it.type("q")
    it.ends(130)


def case_compare():
    with tempfile.TemporaryDirectory() as folder:
        it = Run("compare", *LOCK, "--policies", "yield,v2", "--repeat", "3", "--seconds", "300ms", "--live",
                 "--report", "off", "--out", folder + "/r.jsonl")
        it.until("cell 1 of 1")
        text = it.until(lambda t: "…" in t and "baseline" in t)
        assert "relaxed" not in text, text
        it.type("r")
        it.ends(0, "Ratio: geometric mean")
        assert "[1/6]" not in it.screen.plain


def case_host_policy():
    it = run(policy="host")
    text = it.until(lambda t: "runnable" in t and "0.0" in t)
    assert "w0" not in text and "relaxed" not in text, text
    it.type("q")
    it.ends(130, "throughput")


def case_boot():
    it = Run("boot", ECHO, "--live", "--policy", "v2")
    it.until("type something")
    it.until(lambda t: "0.0" in t and "console" in t)
    it.type("r")
    text = it.until("got 114")  # the guest's, not the view's
    assert "r relaxed=on" in text, text
    it.type("\x01r")
    it.until("r relaxed=off")
    it.type("\x1a")  # no signal
    it.until("got 26")
    it.type("\x01x")
    printed = it.ends(0, "got 114")
    assert "v2,relaxed=off" in printed and "type something" in printed, printed


def case_boot_ends_by_itself():
    it = Run("boot", ECHO, "--live", "--policy", "kvmux")
    it.until("type something")
    it.type("q")
    it.ends(1, "got 113")  # the image's own status


def case_no_terminal():
    for environment, says in (({}, "no terminal"), ({"TERM": "dumb"}, "dumb")):
        command = [KVMUX, "run", *LOCK, "--policy", "v2", "--seconds", "1", "--live"]
        if environment:
            it = Run(*command[1:], **environment)
            it.ends(2, says)
        else:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
            assert done.returncode == 2 and "--live" in done.stderr and says in done.stderr, done


def main():
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        print("skipped: no /dev/kvm")
        return 77
    words = sys.argv[4:]
    failed = 0
    for name, case in sorted(globals().items()):
        if not name.startswith("case_") or (words and not any(word in name for word in words)):
            continue
        began = time.monotonic()
        try:
            case()
            print("ok    %-32s %.1f s" % (name, time.monotonic() - began), flush=True)
        except (AssertionError, KeyError, OSError, ValueError) as error:
            failed += 1
            print("FAIL  %s: %s" % (name, str(error).rstrip()), flush=True)
        finally:
            Run.kill_all()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
