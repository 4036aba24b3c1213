"""What every test may rely on: no network but this machine, an empty home, nobody's keys, reproducible examples.

The network is closed by an audit hook, below every client library: a connection or a name look-up that would leave
this machine raises, and the test fails even when the code under test swallowed the error. Sub-processes are not
covered; whoever starts one gives it loopback addresses.
"""

import ipaddress
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

ROOT = Path(__file__).parent.parent

PRIVATE = re.compile(
    r"(SUREFOOT|DBOS|OPENAI|ANTHROPIC|AZURE|GEMINI|GOOGLE|MISTRAL|GROQ|OPENROUTER|PYDANTIC_AI|LOGFIRE|OTEL|XDG)_"
    r"|.*_(API_KEY|TOKEN|SECRET)$|(HTTPS?|ALL|NO)_PROXY$|(NO|FORCE)_COLOR$|COLUMNS$",
    re.IGNORECASE,
)


def pytest_configure(config: pytest.Config) -> None:
    home = tempfile.mkdtemp(prefix="surefoot-home-")
    config.add_cleanup(lambda: shutil.rmtree(home, ignore_errors=True))
    for name in [name for name in os.environ if PRIVATE.match(name)]:
        del os.environ[name]
    os.environ["HOME"] = home
    # Hundreds of processes are started here: what the first one compiled, the others need not compile again.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False
    # On shared cores a deadline measures the neighbours; in CI the same examples every time.
    hypothesis.settings.register_profile("house", deadline=None, derandomize="CI" in os.environ, print_blob=True)
    # make check asks for a quick look; make test takes the full one.
    hypothesis.settings.register_profile("quick", hypothesis.settings.get_profile("house"), max_examples=15)
    hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "house"))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One worker more than there are cores: half of what the tests do is to wait for processes, servers and pages."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return cores + 1


class NetworkClosed(RuntimeError):
    """A test tried to leave this machine."""


refused: list[str] = []


def stays_here(host: object) -> bool:
    """Whether a host, as given to a socket call, is this machine; file-system sockets and None are."""
    if isinstance(host, bytes):
        host = host.decode()
    if not isinstance(host, str) or host in ("", "localhost"):
        return True
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback or address.is_unspecified


def refuse_strangers(event: str, args: tuple[object, ...]) -> None:
    if not event.startswith("socket."):
        return
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        address = args[1]
        host: object = address[0] if isinstance(address, tuple) and address else None
    elif event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"):
        host = args[0]
    else:
        return
    if not stays_here(host):
        refused.append(f"{event} to {host!r}")
        raise NetworkClosed(f"tests do not leave this machine: {refused[-1]}; use a server on 127.0.0.1 or a fake")


sys.addaudithook(refuse_strangers)


@pytest.fixture(autouse=True)
def closed_network() -> Iterator[list[str]]:
    """Fails the test that tried to leave this machine; gives the attempts, for a test that expects one to clear."""
    refused.clear()
    yield refused
    if refused:
        pytest.fail(f"tried to leave this machine: {', '.join(refused)}")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of public data sets beside the repository; tests that need it are skipped elsewhere."""
    folder = ROOT.parent / "shared"
    if not (folder / "data").is_dir():
        pytest.skip("needs public data sets in ../shared/data, which are not part of the repository")
    return folder
