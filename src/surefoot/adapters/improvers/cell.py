"""The cell: walls that a process of somebody else puts around itself before any foreign code is loaded.

Landlock leaves it the folders it needs for reading and its own for writing, so the store is out of reach, and so are
the files of other processes. seccomp refuses other processes, sockets, signals to others and the calls that lead out
of the walls. No capabilities, no new privileges, and limits on processor time, open files and processes. Each wall is
put up on its own and named if it stands; none can be taken down again, neither by this process nor by its threads.
Standard library only: it runs before there is a path to import from. Linux; elsewhere only the limits stand.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import resource
import struct
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass

PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, PR_SET_DUMPABLE = 22, 38, 4
LANDLOCK_CREATE, LANDLOCK_ADD, LANDLOCK_RESTRICT = 444, 445, 446  # the same on every architecture
WRITE_FILE, READ_FILE, READ_DIR = 1 << 1, 1 << 2, 1 << 3
CONNECT_TCP, BIND_TCP = 1 << 1, 1 << 0
SCOPED = 0b11  # abstract sockets and signals, from version 6
OPEN_FILES = 256
WALLS = ("limits", "files", "network", "processes")

# seccomp: numbers of calls by architecture. `own` may be made with the process itself as first argument.
_DENIED = {
    "x86_64": (
        57, 58, 59, 322, 101, 129, 297, 200, 308, 272, 165, 166, 155, 161, 310, 311, 312, 434, 438, 424, 425, 321,
        248, 249, 250, 298, 323, 303, 304, 175, 313, 246, 169, 29, 68, 64, 428, 429, 430, 442,
    ),
    "aarch64": (
        221, 281, 117, 138, 240, 130, 268, 97, 40, 39, 41, 51, 270, 271, 272, 434, 438, 424, 425, 280, 217, 218, 219,
        241, 282, 264, 265, 105, 273, 104, 142, 194, 186, 190, 428, 429, 430, 442,
    ),
}  # fmt: skip
_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_CLONE, _CLONE3 = {"x86_64": 56, "aarch64": 220}, 435
_SOCKET = {"x86_64": 41, "aarch64": 198}
_OWN = {"x86_64": (62, 234, 302), "aarch64": (129, 131, 261)}  # kill, tgkill, prlimit64
_LOAD, _EQUAL, _ABOVE, _ANY_BIT, _GIVE = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _KILL, _REFUSE = 0x7FFF0000, 0x80000000, 0x00050000
_NUMBER, _KIND, _FIRST = 0, 4, 16  # where the call's number, architecture and first argument stand
_THREAD = 0x10000


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """What stays possible: reading below `readable`, all below `folder`, TCP to `ports`, `cpu_s` of processor time."""

    readable: tuple[str, ...]
    folder: str
    ports: tuple[int, ...] = ()
    cpu_s: int = 120


def close(cell: Cell) -> dict[str, str]:
    """Put up all walls; gives for each of `WALLS` the reason why it does not stand, empty where it does."""
    walls: dict[str, Callable[[Cell], None]] = {
        "limits": _limits, "files": _files, "network": _network, "processes": _processes,
    }  # fmt: skip
    return {name: _problem(wall, cell) for name, wall in walls.items()}


def _problem(wall: Callable[[Cell], None], cell: Cell) -> str:
    try:
        wall(cell)
    except (OSError, ValueError, AttributeError) as error:
        return str(error) or type(error).__name__
    return ""


def _limits(cell: Cell) -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (cell.cpu_s, cell.cpu_s + 1))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES, OPEN_FILES))
    if sys.platform == "linux":
        _call("prctl", PR_SET_DUMPABLE, 0, 0, 0, 0)
        _call("prctl", PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def _call(name: str, *arguments: object) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    given = getattr(libc, name)(*arguments)
    if given < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return int(given)


# Landlock ------------------------------------------------------------------------------------------------------------


def landlock_version() -> int:
    """Give the version of Landlock that the kernel has, 0 for none."""
    if sys.platform != "linux":
        return 0
    return max(0, int(ctypes.CDLL(None).syscall(LANDLOCK_CREATE, None, ctypes.c_size_t(0), 1)))


def _files(cell: Cell) -> None:
    version = landlock_version()
    if not version:
        raise OSError(errno.ENOSYS, "the kernel has no Landlock")
    rights = (1 << 13) - 1 | (1 << 13 if version >= 2 else 0) | (1 << 14 if version >= 3 else 0)
    rights |= 1 << 15 if version >= 5 else 0
    rules = _rules(rights)
    for path in cell.readable:
        _allow(rules, path, READ_FILE | READ_DIR, rights)
    for path in ("/dev/null", "/dev/zero", "/dev/urandom", "/dev/random"):
        _allow(rules, path, READ_FILE | WRITE_FILE, rights)
    _allow(rules, cell.folder, rights & ~1, rights)  # all but running what it wrote
    _restrict(rules)


def _network(cell: Cell) -> None:
    """Only TCP to these ports; without any, seccomp and the keeper's own network close the rest."""
    version = landlock_version()
    if cell.ports and version < 4:
        raise OSError(errno.ENOSYS, "the kernel's Landlock is too old to keep a process to some ports")
    if version >= 4:
        rules = _rules(0, CONNECT_TCP | BIND_TCP, SCOPED if version >= 6 else 0)
        for port in cell.ports:
            rule = struct.pack("=QQ", CONNECT_TCP, port)
            _call("syscall", LANDLOCK_ADD, rules, 2, rule, 0)
        _restrict(rules)
    if not cell.ports and platform.machine() not in _ARCH:
        raise OSError(errno.ENOSYS, f"no list of system calls for {platform.machine()}")


def _rules(files: int, network: int = 0, scoped: int = 0) -> int:
    asked = struct.pack("=QQQ", files, network, scoped)
    asked = asked[: 24 if scoped else 16 if network else 8]
    return _call("syscall", LANDLOCK_CREATE, asked, ctypes.c_size_t(len(asked)), 0)


def _allow(rules: int, path: str, rights: int, handled: int) -> None:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        folder = os.path.isdir(path)  # noqa: PTH112  nothing more is imported in here
        allowed = rights & handled & (-1 if folder else ~READ_DIR)
        _call("syscall", LANDLOCK_ADD, rules, 1, struct.pack("=Qi", allowed, place), 0)
    finally:
        os.close(place)


def _restrict(rules: int) -> None:
    try:
        _call("syscall", LANDLOCK_RESTRICT, rules, 0)
    finally:
        os.close(rules)


# seccomp -------------------------------------------------------------------------------------------------------------


def _processes(cell: Cell) -> None:
    """Give up all capabilities, then refuse every call that starts, touches or becomes another process."""
    if sys.platform != "linux" or platform.machine() not in _ARCH:
        # It counts all processes of the user: none is the only number that means the same everywhere. Root is exempt.
        resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
        raise OSError(errno.ENOSYS, f"no list of system calls for {sys.platform} on {platform.machine()}")
    _call("capset", struct.pack("=Ii", 0x20080522, 0), bytes(24))
    program = b"".join(_program(platform.machine(), os.getpid(), with_network=bool(cell.ports)))
    kept = ctypes.create_string_buffer(program, len(program))
    given = struct.pack("@HP", len(program) // 8, ctypes.addressof(kept))
    _call("prctl", PR_SET_SECCOMP, 2, given, 0, 0)


def _program(machine: str, pid: int, *, with_network: bool) -> Iterable[bytes]:
    """The filter: each block looks at the call's number and answers, or falls through to the next."""
    refused = _REFUSE | errno.EPERM
    yield from (_step(_LOAD, _KIND), _step(_EQUAL, _ARCH[machine], 1, 0), _step(_GIVE, _KILL), _step(_LOAD, _NUMBER))
    if machine == "x86_64":  # the same calls once more, for 32-bit pointers
        yield from (_step(_ABOVE, 0x40000000, 0, 1), _step(_GIVE, refused))
    for number in _DENIED[machine]:
        yield from (_step(_EQUAL, number, 0, 1), _step(_GIVE, refused))
    # Its flags cannot be seen from here; told that there is no such call, the C library falls back to clone.
    yield from (_step(_EQUAL, _CLONE3, 0, 1), _step(_GIVE, _REFUSE | errno.ENOSYS))
    yield from _if(_CLONE[machine], [_step(_ANY_BIT, _THREAD, 1, 0)], refused)
    for number in _OWN[machine]:
        yield from _if(number, [_step(_EQUAL, 0, 2, 0), _step(_EQUAL, pid, 1, 0)], refused)
    families = [_step(_EQUAL, 2, 2, 0), _step(_EQUAL, 10, 1, 0)] if with_network else []
    yield from _if(_SOCKET[machine], families, _REFUSE | errno.EACCES, always=not with_network)
    yield _step(_GIVE, _ALLOW)


def _if(number: int, tests: list[bytes], refused: int, *, always: bool = False) -> Iterable[bytes]:
    """For this call: load its first argument, and refuse unless a test jumps over the refusal."""
    if always:
        return (_step(_EQUAL, number, 0, 1), _step(_GIVE, refused))
    inside = [_step(_LOAD, _FIRST), *tests, _step(_GIVE, refused), _step(_GIVE, _ALLOW)]
    return (_step(_EQUAL, number, 0, len(inside)), *inside)


def _step(code: int, value: int, yes: int = 0, no: int = 0) -> bytes:
    return struct.pack("=HBBI", code, yes, no, value)
