"""Checks what `protoc --decode` makes of `kvmux trace export --perfetto`.

check.py DECODED WHAT [RESULT.json WINDOW_FROM WINDOW_TO]
WHAT: numbers that the trace must at least have, like `ipis=100,yields=1`. With a result of `kvmux run --json`
each vCPU's time on a worker within the window must be what the ledger says, within 0.5 %.
"""

import json
import re
import sys


def packets(path):
    """Each packet as nested dictionaries of lists."""
    stack = [{}]
    with open(path, encoding="utf-8") as text:
        for line in text:
            line = line.strip()
            if line == "}":
                done = stack.pop()
                if len(stack) == 1:
                    yield done
                continue
            opened = re.fullmatch(r"(\w+) \{", line)
            if opened:
                inner = {}
                stack[-1].setdefault(opened[1], []).append(inner)
                stack.append(inner)
                if len(stack) == 2:
                    stack[0].clear()
                continue
            key, value = line.split(": ", 1)
            if key.isdigit():
                sys.exit(f"field {key} is in no message of the schema")
            stack[-1].setdefault(key, []).append(value.strip('"'))


def number(message, key):
    return int(message[key][0])


class Checker:
    def __init__(self):
        self.names = {}
        self.tracks = {}
        self.open = {}  # by track: names of slices
        self.slices = []  # (track, name, from, to, depth)
        self.since = {}
        self.flows = {}  # id: [times, ended]
        self.counters = {}
        self.last = None
        self.state = False

    def take(self, packet):
        assert "trusted_packet_sequence_id" in packet, "a packet without a sequence"
        if "clock_snapshot" in packet:
            clocks = packet["clock_snapshot"][0]
            assert {number(c, "clock_id") for c in clocks["clocks"]} == {3, 6}
            assert number(clocks, "primary_trace_clock") == 3
        if int(packet.get("sequence_flags", ["0"])[0]) & 1:
            self.state = True
            for name in packet["interned_data"][0].get("event_names", []):
                self.names[number(name, "iid")] = name["name"][0]
        if "track_descriptor" in packet:
            self.describe(packet["track_descriptor"][0])
        if "track_event" in packet:
            assert self.state and int(packet["sequence_flags"][0]) & 2
            assert number(packet, "timestamp_clock_id") == 3
            self.event(number(packet, "timestamp"), packet["track_event"][0])

    def describe(self, track):
        uuid = number(track, "uuid")
        assert uuid > 0 and uuid not in self.tracks, f"track {uuid} twice"
        if "parent_uuid" in track:
            assert number(track, "parent_uuid") in self.tracks, "a child before its parent"
        self.tracks[uuid] = track

    def event(self, at, event):
        assert self.last is None or at >= self.last, "not in order of time"
        self.last = at
        track = number(event, "track_uuid")
        assert track in self.tracks, f"track {track} is not described"
        kind = event["type"][0]
        if kind == "TYPE_COUNTER":
            assert "counter" in self.tracks[track]
            self.counters.setdefault(track, []).append((at, number(event, "counter_value")))
            return
        stack = self.open.setdefault(track, [])
        if kind == "TYPE_SLICE_END":
            assert stack, f"an end without a begin at {at} on track {track}"
            name, since = stack.pop()
            assert at > since
            self.slices.append((track, name, since, at, len(stack)))
        else:
            name = self.names[number(event, "name_iid")]
            if kind == "TYPE_SLICE_BEGIN":
                stack.append((name, at))
                self.since[track] = at
        for key, ends in (("flow_ids", False), ("terminating_flow_ids", True)):
            for flow in event.get(key, []):
                times, ended, whats = self.flows.setdefault(flow, [[], [False], []])
                assert not ended[0], f"flow {flow} goes on after its end"
                assert not times or at >= times[-1]
                times.append(at)
                whats.append(name)
                ended[0] = ends

    def finish(self):
        assert not any(self.open.values()), "slices that never end"
        for flow, (times, ended, _) in self.flows.items():
            assert ended[0], f"flow {flow} does not end"
            assert len(times) in (2, 3), f"flow {flow} has {len(times)} parts"

    def threads(self, prefix):
        return {
            uuid: track["thread"][0]["thread_name"][0]
            for uuid, track in self.tracks.items()
            if "thread" in track and track["thread"][0]["thread_name"][0].startswith(prefix)
        }


def overlapping(slices, depth):
    ordered = sorted((s[2], s[3]) for s in slices if s[4] == depth)
    return any(b[0] < a[1] for a, b in zip(ordered, ordered[1:]))


def check_ledger(checker, result, begin, end):
    running = {}
    for track, name, since, to, depth in checker.slices:
        if depth == 0 and name.startswith("runs on worker"):
            running[track] = running.get(track, 0) + max(0, min(to, end) - max(since, begin))
    vcpus = checker.threads("vCPU ")
    by_name = {name: uuid for uuid, name in vcpus.items()}
    worst = 0.0
    for v, vm in enumerate(result["runs"][0]["result"]["vms"]):
        for i, vcpu in enumerate(vm["vcpus"]):
            ledger = vcpu["ledger"]
            on_worker = ["guest", "spinning", "exits", "injection", "migration", "stolen"]
            expected = sum(ledger[f"{part}_ns"] for part in on_worker)
            got = running.get(by_name[f"vCPU {v}.{i}"], 0)
            off = abs(got - expected) / max(expected, 1)
            worst = max(worst, off)
            assert off <= 0.005, f"vCPU {v}.{i} ran {got} ns by the trace, {expected} ns by the ledger"
    return worst


def main():
    checker = Checker()
    for packet in packets(sys.argv[1]):
        checker.take(packet)
    checker.finish()
    workers = checker.threads("worker ")
    vcpus = checker.threads("vCPU ")
    for uuid in list(workers) + list(vcpus):
        assert not overlapping([s for s in checker.slices if s[0] == uuid], 0)
    ipis = [f for f in checker.flows.values() if len(f[0]) == 3]
    yields = [f for f in checker.flows.values() if f[2][0].startswith("yield")]
    for _, _, whats in ipis:
        assert whats[0].startswith("ipi") and whats[1].startswith("inject") and whats[2].startswith("eoi")
    for _, _, whats in yields:
        assert whats[1].startswith("runs on worker")
    queues = [u for u in checker.counters if checker.tracks[u]["name"][0].startswith("runnable")]
    lags = [u for u in checker.counters if checker.tracks[u]["name"][0].startswith("lag")]
    found = {
        "workers": len({s[0] for s in checker.slices} & set(workers)),
        "vcpus": len({s[0] for s in checker.slices} & set(vcpus)),
        "ipis": len(ipis),
        "yields": len(yields),
        "guests": sum(1 for s in checker.slices if s[1] == "guest"),
        "queues": len(queues),
        "lags": len(lags),
    }
    for wanted in filter(None, sys.argv[2].split(",")):
        what, least = wanted.split("=")
        assert found[what] >= int(least), f"{what}: {found[what]}, not {least}"
    if len(sys.argv) > 3:
        with open(sys.argv[3], encoding="utf-8") as text:
            result = json.load(text)
        worst = check_ledger(checker, result, int(sys.argv[4]), int(sys.argv[5]))
        found["off the ledger"] = f"{worst:.4%}"
    print(", ".join(f"{what} {count}" for what, count in found.items()))


main()
