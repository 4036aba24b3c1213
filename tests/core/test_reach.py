"""Where this server may connect to on somebody else's word, whatever the name, the address or its spelling."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surefoot.core.errors import Forbidden, Unavailable
from surefoot.core.reach import LOOPBACK, is_public, must_reach, must_reach_name, reach_of

NOWHERE = reach_of((), setting="[x] allow")
INSIDE = st.sampled_from(["10.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16",
                          "100.64.0.0/10", "0.0.0.0/8", "224.0.0.0/4"])  # fmt: skip


@st.composite
def inside(draw: st.DrawFn) -> str:
    """An address of our own networks, plain or wrapped in one of IPv6."""
    network = ipaddress.ip_network(draw(INSIDE))
    one = ipaddress.IPv4Address(int(network.network_address) + draw(st.integers(0, network.num_addresses - 1)))
    wrapped = [str(one), f"::ffff:{one}", f"64:ff9b::{one}", f"2606:4700::5efe:{one}", f"2606:4700::200:5efe:{one}",
               str(ipaddress.IPv6Address((0x2002 << 112) | (int(one) << 80) | 1))]  # fmt: skip
    return draw(st.sampled_from(wrapped))


@given(inside(), st.booleans())
def test_nothing_inside_is_reached_that_the_settings_do_not_name(address: str, tls: bool) -> None:
    assert not is_public(address)
    with pytest.raises(Forbidden, match="not a public address"):
        must_reach(NOWHERE, "hooks.example.com", [address], tls=tls)


@given(inside())
def test_one_address_inside_among_public_ones_is_enough_to_refuse(address: str) -> None:
    for found in ([address, "1.1.1.1"], ["1.1.1.1", address]):
        with pytest.raises(Forbidden):
            must_reach(NOWHERE, "hooks.example.com", found, tls=True)


@pytest.mark.parametrize(
    "address", ["3fff::1", "3fff:fff:ffff::9", "192.88.99.1", "192.88.99.255", "::ffff:192.88.99.2"]
)
def test_networks_for_documents_and_old_relays_are_not_public(address: str) -> None:
    assert not is_public(address)


def test_what_is_public_is_reached_with_tls_only() -> None:
    must_reach(NOWHERE, "hooks.example.com", ["1.1.1.1", "2606:4700::1111", "2606:4700::5efe:1.1.1.1"], tls=True)
    with pytest.raises(Forbidden, match="without TLS"):
        must_reach(NOWHERE, "hooks.example.com", ["1.1.1.1"], tls=False)
    with pytest.raises(Unavailable, match="no address"):
        must_reach(NOWHERE, "hooks.example.com", [], tls=True)


@pytest.mark.parametrize("allowed", ["chat.internal", "CHAT.internal.", "10.1.2.3", "10.0.0.0/8"])
def test_a_name_an_address_or_a_network_is_meant_as_the_settings_say_and_nothing_beside_it(allowed: str) -> None:
    reach = reach_of([allowed], setting="[x] allow")
    must_reach(reach, "chat.internal", ["10.1.2.3"], tls=False)
    with pytest.raises(Forbidden):
        must_reach(reach, "other.internal", ["192.168.0.1"], tls=True)


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST.", "a.localhost", "127.0.0.1", "[::1]", "::1", "0x7f.1", "2130706433", "169.254.169.254"],
)
def test_a_host_that_is_plainly_inside_is_refused_before_its_name_is_looked_up(host: str) -> None:
    with pytest.raises(Forbidden, match="not a public address"):
        must_reach_name(NOWHERE, host, tls=True)
    must_reach_name(reach_of([host], setting="[x] allow"), host, tls=False)


def test_a_public_name_is_judged_for_tls_before_it_is_looked_up() -> None:
    must_reach_name(NOWHERE, "hooks.example.com", tls=True)
    with pytest.raises(Forbidden, match="without TLS"):
        must_reach_name(NOWHERE, "hooks.example.com", tls=False)


def test_this_machine_is_named_in_all_its_spellings() -> None:
    reach = reach_of(LOOPBACK, setting="[x] allow")
    for host, found in (("localhost", "::1"), ("127.9.9.9", "127.9.9.9"), ("a.example", "::ffff:127.0.0.1")):
        must_reach(reach, host, [found], tls=False)
