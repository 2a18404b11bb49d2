"""Which network addresses a tool server may be reached at. Pure.

A server's name may resolve to anything, today or at the next question: so every address is judged, and the connection is made to
the very address that was judged (see `safe_http`).
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable, Sequence

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

#: Beyond what `ipaddress` calls not global: ranges that carry an IPv4 address inside, by which a private one could be reached.
_TUNNELS = {
    "NAT64": ("64:ff9b::/96", "64:ff9b:1::/48"),
    "6to4": ("2002::/16", "192.88.99.0/24"),
    "Teredo": ("2001::/32",),
    "IPv4-compatible": ("::/96",),
    "site-local": ("fec0::/10",),
    "carrier NAT": ("100.64.0.0/10",),
}
_RANGES = [(name, ipaddress.ip_network(text)) for name, texts in _TUNNELS.items() for text in texts]


class AddressRefused(Exception):
    """The address is not one that may be reached; the text says which range it is in, and what a person can do."""


def check(text: str, own_networks: Iterable[str] = ()) -> None:
    """Raises `AddressRefused` unless this address is public, or lies in one of the company's own networks."""
    address = _parsed(text)
    if any(address in ipaddress.ip_network(network) for network in own_networks):
        return
    if why := _not_public(address):
        raise AddressRefused(
            f"{address} is {why}; tool servers are reached on public addresses. A person can add its network to "
            "own_networks in policies/access.yaml"
        )


def check_all(host: str, addresses: Sequence[str], own_networks: Iterable[str] = ()) -> tuple[str, ...]:
    """The addresses, if each of them may be reached. One that may not spoils all: a name that also leads inside is a trap."""
    if not addresses:
        raise AddressRefused(f"{host} has no address; check the name")
    networks = tuple(own_networks)
    for address in addresses:
        try:
            check(address, networks)
        except AddressRefused as error:
            raise AddressRefused(f"{host}: {error}") from error
    return tuple(addresses)


def refused_host(host: str, own_networks: Iterable[str] = ()) -> str | None:
    """Why this host, as it is written, may not be reached; None for a name, which is judged when it is resolved.

    `127.1` and `0x7f000001` are addresses too, to whoever resolves them.
    """
    bare = host.strip("[]").rstrip(".").lower()
    if bare == "localhost" or bare.endswith(".localhost"):
        bare = "127.0.0.1"
    if ":" not in bare:
        last = bare.rpartition(".")[2]
        if not (last.isdigit() or last.startswith("0x")):
            return None
        try:
            bare = socket.inet_ntoa(socket.inet_aton(bare))
        except OSError:
            return f"{host[:60]} is neither a name nor an address"
    try:
        check(bare, own_networks)
    except AddressRefused as error:
        return str(error)
    return None


def _parsed(text: str) -> Address:
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError as error:
        raise AddressRefused(f"{text[:60]!r} is no address") from error
    # ::ffff:10.0.0.1 is 10.0.0.1 to the kernel, and so to us.
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _not_public(address: Address) -> str | None:
    if address.is_loopback:
        return "loopback"
    if address.is_unspecified:
        return "unspecified"
    if address.is_link_local:
        return "link-local"
    if address.is_multicast:
        return "multicast"
    for name, network in _RANGES:
        if address.version == network.version and address in network:
            return f"in a {name} range ({network})"
    if address.is_private or address.is_reserved or not address.is_global:
        return "private or reserved"
    return None
