"""The keeper: a small program that stands between Surefoot and a command, and takes every process of it along.

It is run as a script of its own and needs nothing but Python. It starts the command in a session of its own, behind
the walls that were asked for, and waits. When the command ends, when the deadline passes, or when the pipe from
Surefoot breaks (somebody killed Surefoot), it ends all that is left: SIGTERM first where there is hope, then SIGKILL.
Processes that left the group with `setsid` and lost their parent are handed to it by the kernel
(`PR_SET_CHILD_SUBREAPER`), so that they are found too. What happened goes as one line of JSON into a pipe that the
command never sees.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import resource
import select
import signal
import struct
import sys
import time
from typing import Any, NoReturn

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 1, 36, 38
CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
LANDLOCK_CREATE, LANDLOCK_ADD, LANDLOCK_RESTRICT = 444, 445, 446  # the same on every architecture
# All rights that change something, by the version of Landlock that brought them; reading and executing stay free.
WRITE_FILE, TRUNCATE = 1 << 1, 1 << 14
ON_FOLDERS = sum(1 << bit for bit in (4, 5, 6, 7, 8, 9, 10, 11, 12))
REFER = 1 << 13


def main(asked: dict[str, Any]) -> None:
    """Keep one command; `asked` has words, deadline_s, grace_s, lifeline, report, writable, network, memory, file."""
    lifeline, report = int(asked["lifeline"]), int(asked["report"])
    for end in (lifeline, report):
        os.set_inheritable(end, False)  # noqa: FBT003
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    wake, alarm = os.pipe()
    for end in (wake, alarm):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(alarm)
    signal.signal(signal.SIGCHLD, _woken)
    for ignored in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    problem, trouble = os.pipe()
    child = os.fork()
    if child == 0:
        _become(asked, trouble)
    os.close(trouble)
    for stream in (0, 1, 2):  # so that the pipes end when the command's processes do
        os.dup2(os.open(os.devnull, os.O_RDWR), stream)
    told = _until_ended(child, lifeline, wake, float(asked["deadline_s"]), float(asked["grace_s"]))
    said = os.read(problem, 65536).decode("utf-8", "replace")
    os.write(report, json.dumps({**told, "problem": said}).encode())


def _woken(_number: int, _frame: object) -> None:
    """Stand in for a handler: the byte in the wakeup pipe is what is waited for."""


def _become(asked: dict[str, Any], trouble: int) -> NoReturn:
    """Turn into the command, behind the walls."""
    try:
        os.setsid()
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        _limit(int(asked["memory"]), int(asked["file"]))
        if not asked["network"]:
            cut_off()
        if asked["writable"]:
            wall_in(asked["writable"])
        os.execvp(asked["words"][0], asked["words"])  # noqa: S606
    except OSError as reason:
        os.write(trouble, f"{asked['words'][0]}: {reason.strerror}".encode())
    except BaseException as reason:  # noqa: BLE001  whatever it is, it must not run on as a second keeper
        os.write(trouble, f"{type(reason).__name__}: {reason}".encode())
    finally:
        os._exit(127)


def _until_ended(child: int, lifeline: int, wake: int, deadline_s: float, grace_s: float) -> dict[str, Any]:
    """Wait for the command, then end all that is left of it; tells how it ended."""
    late_at = time.monotonic() + deadline_s
    killed_at = float("inf")
    why, status, left = "", None, 0
    watched = [lifeline, wake]
    while status is None:
        until = late_at if killed_at == float("inf") else killed_at
        ready, _, _ = select.select(watched, [], [], max(0.0, min(until - time.monotonic(), 3600.0)))
        if wake in ready:
            with contextlib.suppress(BlockingIOError):
                os.read(wake, 4096)
        status = _reaped(child)
        now = time.monotonic()
        if status is None and not why and (lifeline in ready or now >= late_at):
            why = "cut" if lifeline in ready else "late"
            watched, killed_at = [wake], now + grace_s
            _signal_all(child, signal.SIGTERM)
        elif status is None and now >= killed_at:
            killed_at = now + 1.0
            _signal_all(child, signal.SIGKILL)
    for _ in range(200):  # a process that forks as it dies is met again
        found = _signal_all(child, signal.SIGKILL)
        if not found:
            break
        left = max(left, found)
        time.sleep(0.01)
        _reaped(child)
    code = os.waitstatus_to_exitcode(status)
    return {"code": code, "why": why, "left": left, "survivors": len(_below(os.getpid()))}


def _reaped(child: int) -> int | None:
    """Collect whatever ended; gives the status of the command if it is among them."""
    found = None
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return found
        if pid == 0:
            return found
        if pid == child:
            found = status


def _signal_all(child: int, number: int) -> int:
    """Signal all processes of the command; gives how many there were."""
    there = _below(os.getpid())
    if sys.platform != "linux":
        with contextlib.suppress(OSError):
            os.killpg(child, number)
    for pid in there:
        with contextlib.suppress(OSError):
            os.kill(pid, number)
    return len(there)


def _below(top: int) -> list[int]:
    """Give the living processes below one; on systems without /proc there are none to be seen."""
    parents: dict[int, list[int]] = {}
    for pid in everybody():
        with contextlib.suppress(OSError), open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123
            state, parent = file.read().rpartition(b")")[2].split()[:2]
            if state != b"Z":
                parents.setdefault(int(parent), []).append(pid)
    found: list[int] = []
    waiting = [top]
    while waiting:
        under = parents.get(waiting.pop(), [])
        found += under
        waiting += under
    return found


def everybody() -> list[int]:
    """Give all processes; none on systems without /proc."""
    if sys.platform != "linux":
        return []
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208


def environ_of(pid: int) -> bytes:
    """Give the environment a process began with; nothing for a zombie, or one of somebody else."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:  # noqa: PTH123
            return file.read()
    except OSError:
        return b""


def _limit(memory: int, file: int) -> None:
    """No core files, no file larger than asked, and as much memory as asked."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if file:
        resource.setrlimit(resource.RLIMIT_FSIZE, (file, file))
    if memory:
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))


def cut_off() -> None:
    """Leave the network; loopback is a new one of our own. OSError where the kernel does not allow it."""
    import socket  # nobody else needs it, and each command waits for what is imported here

    libc = ctypes.CDLL(None, use_errno=True)
    user, group = os.getuid(), os.getgid()
    flags = CLONE_NEWNET if user == 0 else CLONE_NEWNET | CLONE_NEWUSER
    if libc.unshare(flags) != 0:
        raise OSError(ctypes.get_errno(), "the network cannot be left")
    if user != 0:
        for name, line in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
            with open(f"/proc/self/{name}", "w", encoding="ascii") as file:  # noqa: PTH123
                file.write(line)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as plug:
        fcntl.ioctl(plug, 0x8914, struct.pack("16sh14x", b"lo", 0x1 | 0x40))  # SIOCSIFFLAGS: up and running


def landlock_version() -> int:
    """Give the version of Landlock that the kernel has, 0 for none."""
    if sys.platform != "linux":
        return 0
    return max(0, ctypes.CDLL(None).syscall(LANDLOCK_CREATE, None, 0, 1))


def wall_in(writable: list[str]) -> None:
    """Allow changes below these paths only, for this process and its children, for ever; nothing without Landlock."""
    version = landlock_version()
    if not version:
        return
    libc = ctypes.CDLL(None, use_errno=True)
    files = WRITE_FILE | (TRUNCATE if version >= 3 else 0)
    handled = files | ON_FOLDERS | (REFER if version >= 2 else 0)
    asked = struct.pack("=Q", handled)
    rules = libc.syscall(LANDLOCK_CREATE, asked, len(asked), 0)
    if rules < 0:
        raise OSError(ctypes.get_errno(), "no Landlock rules")
    for path in writable:
        with contextlib.suppress(FileNotFoundError):
            place = os.open(path, os.O_PATH | os.O_CLOEXEC)
            allowed = handled if os.path.isdir(path) else files  # noqa: PTH112
            if libc.syscall(LANDLOCK_ADD, rules, 1, struct.pack("=Qi", allowed, place), 0) != 0:
                raise OSError(ctypes.get_errno(), f"no Landlock rule for {path}")
            os.close(place)
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if libc.syscall(LANDLOCK_RESTRICT, rules, 0) != 0:
        raise OSError(ctypes.get_errno(), "Landlock cannot be put up")
    os.close(rules)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
