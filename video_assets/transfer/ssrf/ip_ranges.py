"""Which addresses of the Internet may be dialled: the global unicast space, minus everything special.

The lists are allow-lists with holes, not block-lists with gaps: ``ipaddress.is_global`` and ``not is_private``
let twenty of seventy special addresses through on Python 3.11. Sources: the IANA special-purpose address
registries for IPv4 and IPv6, RFC 6890, and the practice of Stripe's smokescreen, which refuses every transition
address whatever it carries.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

IPAddress = IPv4Address | IPv6Address

_SPECIAL_V4: tuple[tuple[IPv4Network, str], ...] = tuple(
    (IPv4Network(network), meaning)
    for network, meaning in (
        ("0.0.0.0/8", "this network"),
        ("10.0.0.0/8", "a private network"),
        ("100.64.0.0/10", "carrier-grade NAT"),
        ("127.0.0.0/8", "loopback"),
        ("168.63.129.16/32", "the host agent of a cloud"),
        ("169.254.0.0/16", "link-local, where clouds keep their metadata"),
        ("172.16.0.0/12", "a private network"),
        ("192.0.0.0/24", "protocol assignments"),
        ("192.0.2.0/24", "documentation"),
        ("192.31.196.0/24", "AS112"),
        ("192.52.193.0/24", "AMT"),
        ("192.88.99.0/24", "6to4 relays"),
        ("192.168.0.0/16", "a private network"),
        ("192.175.48.0/24", "AS112"),
        ("198.18.0.0/15", "benchmarking"),
        ("198.51.100.0/24", "documentation"),
        ("203.0.113.0/24", "documentation"),
        ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", "reserved"),
    )
)

_GLOBAL_V6 = IPv6Network("2000::/3")
_SPECIAL_V6: tuple[tuple[IPv6Network, str], ...] = tuple(
    (IPv6Network(network), meaning)
    for network, meaning in (
        ("2001::/23", "protocol assignments, Teredo among them"),
        ("2001:db8::/32", "documentation"),
        ("2002::/16", "6to4, which carries an IPv4 address"),
        ("2620:4f:8000::/48", "AS112"),
        ("3fff::/20", "documentation"),
    )
)
_OUTSIDE_V6: tuple[tuple[IPv6Network, str], ...] = tuple(
    (IPv6Network(network), meaning)
    for network, meaning in (
        ("::/128", "unspecified"),
        ("::1/128", "loopback"),
        ("::ffff:0:0/96", "an IPv4 address in disguise"),
        ("::ffff:0:0:0/96", "an IPv4 address in disguise"),
        ("::/96", "an IPv4 address in disguise"),
        ("64:ff9b::/96", "NAT64, which carries an IPv4 address"),
        ("64:ff9b:1::/48", "NAT64, which carries an IPv4 address"),
        ("fc00::/7", "a private network"),
        ("fe80::/10", "link-local"),
        ("fec0::/10", "site-local"),
        ("ff00::/8", "multicast"),
    )
)
_SYNTHETIC = tuple(
    ip_network(network)
    for network in (
        "0.0.0.0/8",
        "198.18.0.0/15",
        "240.0.0.0/4",
        "::/128",
        "64:ff9b::/96",
        "64:ff9b:1::/48",
        "fc00::/18",
    )
)
"""What a resolver of the own network makes up for a public name: fake-IP proxies (the defaults of Clash,
sing-box, Surge and V2Ray), DNS64 (RFC 6147), and filters that answer with an address of nobody."""
_ISATAP_MARKS = (0x0000_5EFE, 0x0200_5EFE)
"""The third quarter of an ISATAP address (RFC 5214): the last quarter is an IPv4 address, often a private one."""


def parse_address(text: object) -> IPAddress | None:
    """The address ``text`` spells, or None for anything else, zone ids (``fe80::1%eth0``) included."""
    if not isinstance(text, str) or "%" in text or not text.isascii():
        return None
    try:
        return IPv6Address(text) if ":" in text else IPv4Address(text)
    except ValueError:
        return None


def why_refused(address: IPAddress) -> str | None:
    """What makes ``address`` special, as a noun phrase, or None when it is ordinary global unicast."""
    if isinstance(address, IPv4Address):
        return next((meaning for network, meaning in _SPECIAL_V4 if address in network), None)
    if address not in _GLOBAL_V6:
        return next(
            (meaning for network, meaning in _OUTSIDE_V6 if address in network),
            "outside the global unicast space",
        )
    if (int(address) >> 32) & 0xFFFF_FFFF in _ISATAP_MARKS:
        return "ISATAP, which carries an IPv4 address"
    return next((meaning for network, meaning in _SPECIAL_V6 if address in network), None)


def is_synthetic(address: IPAddress) -> bool:
    """Whether ``address``, as the answer for a public name, tells of the own network's DNS, not of the host."""
    return any(address.version == network.version and address in network for network in _SYNTHETIC)
