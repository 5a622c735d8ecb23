"""Addresses that ModelLedger may send to: resolved once, checked, and connected to as checked.

A setting must not make the server call itself, its network or the metadata service of a cloud (server-side request
forgery). The name is resolved once, every address is checked, and the connection is opened to the checked address, so
that a second answer of the name server changes nothing (DNS rebinding).
"""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from core.errors import AddressRefused, BadSettings, NotDelivered, first_line
from core.texts import text

CONNECT_TIMEOUT_S = 5.0
# A name can have any number of addresses, and each can take the whole timeout.
_MOST_TRIED = 3
_Address = IPv4Address | IPv6Address

# No setting allows these. 169.254.0.0/16 holds the metadata services of AWS, Azure, Google Cloud and OpenStack.
_NEVER = tuple(
    ip_network(network)
    for network in (
        "0.0.0.0/8",  # "this network": 0.0.0.0 is the machine itself
        "169.254.0.0/16",
        "100.100.100.200/32",  # metadata of Alibaba Cloud
        "168.63.129.16/32",  # platform service of Azure
        "192.0.0.0/24",  # protocol assignments, with the metadata of Oracle Cloud
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, broadcast
        "::/128",
        "fe80::/10",  # link-local
        "ff00::/8",  # multicast
        "fd00:ec2::/32",  # metadata of AWS
        "fd20:ce::/32",  # metadata of Google Cloud
        "2001::/32",  # Teredo: leads to an IPv4 address
        "2002::/16",  # 6to4: leads to an IPv4 address
        "64:ff9b:1::/48",  # local NAT64
    )
)
# Allowed only where a setting allows the host or its network.
_LOCAL = tuple(
    ip_network(network)
    for network in (
        "127.0.0.0/8",
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "100.64.0.0/10",  # carrier-grade NAT
        "198.18.0.0/15",  # benchmarks
        "::1/128",
        "fc00::/7",  # unique local
        "fec0::/10",  # site-local
    )
)
_NAT64 = ip_network("64:ff9b::/96")
_COMPATIBLE = ip_network("::/96")
# What the C library reads as an IPv4 address although it is none as people write them: 2130706433, 0x7f.1, 0177.0.0.1
_NUMERIC = re.compile(r"^(0x[0-9a-f]*|\d+)(\.(0x[0-9a-f]*|\d+)){0,3}\.?$", re.IGNORECASE)
_HOST = re.compile(r"^[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*\.?$", re.IGNORECASE)


@dataclass(frozen=True)
class Allowed:
    """Hosts and networks inside the own network to which a setting allows to send."""

    hosts: frozenset[str] = frozenset()
    networks: tuple[IPv4Network | IPv6Network, ...] = ()

    @classmethod
    def parse(cls, entries: Iterable[str]) -> Allowed:
        """Return what MODELLEDGER_NOTIFICATION_ALLOW allows: host names, addresses and networks. Raises BadSettings."""
        hosts, networks = set(), []
        for entry in entries:
            try:
                networks.append(ip_network(entry))
                continue
            except ValueError:
                pass
            if not _HOST.match(entry) or _NUMERIC.match(entry):
                raise BadSettings(
                    "MODELLEDGER_NOTIFICATION_ALLOW names {entry!r}, which is not a host name, an address or a "
                    "network. Write for example mail.bank.internal or 10.1.0.0/16.",
                    entry=entry,
                    setting="MODELLEDGER_NOTIFICATION_ALLOW",
                )
            hosts.add(_plain(entry))
        return cls(frozenset(hosts), tuple(networks))

    def has(self, host: str, address: _Address) -> bool:
        """Return whether *host*, which resolved to *address*, is allowed by name or by network."""
        is_within = any(address.version == network.version and address in network for network in self.networks)
        return is_within or _plain(host) in self.hosts


def check_host(host: str, allowed: Allowed) -> None:
    """Check what can be checked without a name server. Raises AddressRefused."""
    with suppress(ValueError):
        _require_allowed(host, ip_address(host.split("%")[0]), allowed)
        return
    if _NUMERIC.match(host):
        raise AddressRefused(
            "{host} is an address in another notation. Write it with four decimal numbers or as a name.", host=host
        )
    if not _HOST.match(host):
        raise AddressRefused("{host!r} is not a host name in ASCII.", host=host)


def resolve(host: str, port: int, allowed: Allowed, *, is_encrypted: bool = True) -> tuple[str, ...]:
    """Return the addresses of *host*, each checked. One address that is not allowed refuses the host.

    Without encryption the settings must allow each address.

    Raises:
        AddressRefused: the host is or resolves to an address that is not allowed.
        NotDelivered: the name does not resolve.
    """
    check_host(host, allowed)
    try:
        answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise NotDelivered(
            "The name {host} cannot be resolved ({cause}).", host=host, cause=first_line(error)
        ) from error
    addresses = tuple(dict.fromkeys(str(answer[4][0]) for answer in answers))
    for address in addresses:
        parsed = ip_address(address.split("%")[0])
        _require_allowed(host, parsed, allowed)
        if not is_encrypted and not allowed.has(host, parsed):
            raise AddressRefused(
                "{host} is reached without TLS. Write https://, or add the host to MODELLEDGER_NOTIFICATION_ALLOW.",
                host=host,
            )
    return addresses


def connect(host: str, port: int, allowed: Allowed, *, is_encrypted: bool = True) -> socket.socket:
    """Open a connection to a checked address of *host*. Proxies of the environment are not used.

    Raises:
        AddressRefused, NotDelivered.
    """
    failure: OSError | None = None
    for address in resolve(host, port, allowed, is_encrypted=is_encrypted)[:_MOST_TRIED]:
        try:
            return socket.create_connection((address, port), timeout=CONNECT_TIMEOUT_S)
        except OSError as error:
            failure = error
    raise NotDelivered(
        "{host}, port {port}, cannot be reached ({cause}).", host=host, port=port, cause=_cause(failure)
    ) from failure


@contextmanager
def deadline(connection: socket.socket, seconds: float) -> Iterator[None]:
    """End *connection* after *seconds*: a timeout of a socket starts again with each byte that arrives."""
    # A copy of the descriptor: TLS takes the socket itself over.
    guard = connection.dup()

    def end() -> None:
        with suppress(OSError):
            guard.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        guard.close()


def _require_allowed(host: str, address: _Address, allowed: Allowed) -> None:
    """Raise AddressRefused unless ModelLedger may send to *address*."""
    checked = _leads_to(address)
    # Python's table knows further special networks, such as those for documentation.
    is_never = any(checked.version == network.version and checked in network for network in _NEVER)
    is_local = any(checked.version == network.version and checked in network for network in _LOCAL)
    if is_never or (not is_local and not checked.is_global):
        raise AddressRefused(
            "{host} leads to {address}, a special address to which ModelLedger never sends.",
            host=host,
            address=str(address),
        )
    if is_local and not allowed.has(host, checked):
        raise AddressRefused(
            "{host} leads to {address}, which is on this machine or in its network. If this is meant, add the host or "
            "its network to MODELLEDGER_NOTIFICATION_ALLOW.",
            host=host,
            address=str(address),
        )


def _leads_to(address: _Address) -> _Address:
    """Return the IPv4 address inside an IPv6 address that only wraps it, else the address itself."""
    if isinstance(address, IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    is_compatible = address in _COMPATIBLE and int(address) > 0xFFFF
    return IPv4Address(int(address) & 0xFFFFFFFF) if address in _NAT64 or is_compatible else address


def _plain(host: str) -> str:
    return host.lower().rstrip(".")


def _cause(error: OSError | None) -> str:
    if error is None:
        return text("the name has no address")
    if isinstance(error, TimeoutError):
        return text("no answer within {seconds:.0f} s", seconds=CONNECT_TIMEOUT_S)
    return first_line((error.strerror and OSError(error.strerror)) or error)
