"""The guard: what may be fetched, what must not, and that one parser decides for the connection too."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from video_assets.transfer.ssrf.guard import Verdict, system_resolve, verdict

PUBLIC = ["93.184.216.34", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"]


def judge(url: object, answers: object = PUBLIC, **rules: object) -> Verdict:
    return verdict(url, lambda _host: answers, **rules)  # type: ignore[arg-type, return-value]


ALLOWED = {
    "https://cdn.example.com/a.mp4": ("cdn.example.com", 443, "/a.mp4"),
    "http://cdn.example.com": ("cdn.example.com", 80, "/"),
    "https://cdn.example.com?x=1": ("cdn.example.com", 443, "/?x=1"),
    "https://cdn.example.com#part": ("cdn.example.com", 443, "/"),
    "HTTPS://CDN.Example.COM:443/A": ("cdn.example.com", 443, "/A"),
    "https://cdn.example.com:8443/a": ("cdn.example.com", 8443, "/a"),
    "https://cdn.example.com./a": ("cdn.example.com.", 443, "/a"),
    "https://my_bucket.example.com/a": ("my_bucket.example.com", 443, "/a"),
    "https://r3---sn-4g5e.googlevideo.com/v": ("r3---sn-4g5e.googlevideo.com", 443, "/v"),
    "https://cdn.example.com/a@b/c:d/%2F..%2e/x;y=z?u=http://me@10.0.0.1:22/&p=%00#f": (
        "cdn.example.com",
        443,
        "/a@b/c:d/%2F..%2e/x;y=z?u=http://me@10.0.0.1:22/&p=%00",
    ),
    "https://cdn.example.com/vidéo/日本.mp4?q=ü": (
        "cdn.example.com",
        443,
        "/vid%C3%A9o/%E6%97%A5%E6%9C%AC.mp4?q=%C3%BC",
    ),
    "https://cdn.example.com//a/./b/../c": ("cdn.example.com", 443, "//a/./b/../c"),
    'https://cdn.example.com/{a}|"b"^`<c>': ("cdn.example.com", 443, '/{a}|"b"^`<c>'),
    "https://münchen.example/a": ("xn--mnchen-3ya.example", 443, "/a"),
    "https://MÜNCHEN.example/a": ("xn--mnchen-3ya.example", 443, "/a"),
    "https://例え.jp/a": ("xn--r8jz45g.jp", 443, "/a"),
    "https://xn--i-7iq.example/a": ("xn--i-7iq.example", 443, "/a"),
    "https://" + ".".join(["a" * 63] * 3 + ["a" * 61]) + "/": (".".join(["a" * 63] * 3 + ["a" * 61]), 443, "/"),
    "https://93.184.216.34/a": ("93.184.216.34", 443, "/a"),
    "https://[2606:2800:21f:cb07:6820:80da:af6b:8b2c]:8443/": (
        "2606:2800:21f:cb07:6820:80da:af6b:8b2c",
        8443,
        "/",
    ),
    "https://cdn.example.com?\u00fc": ("cdn.example.com", 443, "/?%C3%BC"),
}

REFUSED = {
    # Schemes.
    "ftp://cdn.example.com/a": "scheme",
    "file:///etc/passwd": "scheme",
    "gopher://cdn.example.com/": "scheme",
    "javascript:alert(1)": "scheme",
    "data:video/mp4;base64,AAAA": "scheme",
    "//cdn.example.com/a": "scheme",
    "cdn.example.com/a": "scheme",
    "http:/cdn.example.com/": "scheme",
    "http:cdn.example.com/": "scheme",
    "https:///cdn.example.com/": "host",
    "ｈttp://cdn.example.com/": "scheme",
    "http+unix://%2fvar%2frun/": "scheme",
    "": "scheme",
    # Characters that parsers read differently.
    "http://127.0.0.1\\@cdn.example.com/": "characters",
    "http://cdn.example.com\\@127.0.0.1/": "characters",
    "http:\\\\127.0.0.1/": "characters",
    " https://cdn.example.com/": "characters",
    "https://cdn.example.com/ ": "characters",
    "https://cdn.example .com/a": "host",
    "https://cdn.example.com /a": "host",
    "https://cdn.example\u00a0.com/a": "host",
    "https://cdn.exam\tple.com/": "characters",
    "https://cdn.example.com/\r\nHost: evil": "characters",
    "https://cdn.example.com\u2028/": "characters",
    "https://cdn.example.com/\u00a0": "characters",
    "https://cdn.example.com/\x7f": "characters",
    "https://cdn.example.com/\x00": "characters",
    "https://cdn.example.com/\ud800": "characters",
    "https://cdn.example.com/a\\b": "characters",
    "https://cdn.example.com/?a=\\b": "characters",
    # User names.
    "https://user@cdn.example.com/": "userinfo",
    "https://user:pass@cdn.example.com/": "userinfo",
    "https://@cdn.example.com/": "userinfo",
    "https://cdn.example.com:80@10.0.0.1/": "userinfo",
    "https://cdn.example.com;@10.0.0.1/": "userinfo",
    # Hosts.
    "https:///a": "host",
    "https://?x": "host",
    "https://:443/": "host",
    "https://.example.com/": "host",
    "https://cdn..example.com/": "host",
    "https://cdn.example.com../": "host",
    "https://lo%63alhost/": "host",
    "https://127%2e0%2e0%2e1/": "host",
    "https://cdn.example.com%2f@evil/": "userinfo",
    "https://cdn,example.com/": "host",
    "https://cdn.exa$mple.com/": "host",
    "https://[cdn.example.com]/": "host",
    "https://[::1/": "host",
    "https://::1/": "port",
    "https://[::1]extra/": "host",
    "https://[fe80::1%25eth0]/": "host",
    "https://[fe80::1%eth0]/": "host",
    "https://[v1.fe80::a]/": "host",
    "https://[1.2.3.4]/": "host",
    "https://" + "a" * 64 + ".example.com/": "host",
    "https://" + "a." * 130 + "com/": "host",
    "https://" + ".".join(["a" * 63] * 3 + ["a" * 62]) + "/": "host",
    # Labels that claim to encode an international name: nothing, plain ASCII, a control character, full width.
    "https://xn--.com/": "host",
    "https://xn--localhost-.com/": "host",
    "https://xn--a.com/": "host",
    "https://xn--99999999.com/": "host",
    "https://xn--" + "１２７".encode("punycode").decode() + ".com/": "host",
    # Look-alikes.
    "http://127。0。0。1/": "host",
    "http://①②⑦.⓪.⓪.①/": "host",
    "http://１２７.0.0.1/": "host",
    "http://١٢٧.٠.٠.١/": "host",
    "http://ⓛocalhost/": "host",
    "http://cdn．example．com/": "host",
    "http://exa\u00admple.com/": "host",
    "http://exa\u200dmple.com/": "host",
    "http://\u212adn.example.com/": "host",
    # Ports.
    "https://cdn.example.com:/": "port",
    "https://cdn.example.com:0/": "port",
    "https://cdn.example.com:65536/": "port",
    "https://cdn.example.com:99999999999/": "port",
    "https://cdn.example.com:+80/": "port",
    "https://cdn.example.com:-1/": "port",
    "https://cdn.example.com:8o/": "port",
    "https://cdn.example.com:０80/": "port",
    "https://cdn.example.com:80:80/": "port",
    "https://cdn.example.com::80:80/": "port",
    "https://cdn.example.com:22/": "port",
    "https://cdn.example.com:6379/": "port",
    # Numbers that inet_aton takes and that are no plain dotted quad.
    "http://0177.0.0.1/": "host",
    "http://2130706433/": "host",
    "http://0x7f000001/": "host",
    "http://0x7f.1/": "host",
    "http://0X7F.0.0.1/": "host",
    "http://127.1/": "host",
    "http://127.0.1/": "host",
    "http://127.0.0.1./": "host",
    "http://8.8.8.8./": "host",
    "http://8.8.8.08/": "host",
    "http://8.8.8.256/": "host",
    "http://8.8.8.8.8/": "host",
    "http://017700000001/": "host",
    "http://0x/": "host",
    "http://1.0x7f/": "host",
    # Names that only mean something inside.
    "http://localhost/": "name",
    "http://LOCALHOST./": "name",
    "http://app.localhost/": "name",
    "http://localhost.localdomain/": "name",
    "http://printer.local/": "name",
    "http://metadata.google.internal/": "name",
    "http://metadata.google.internal./": "name",
    "http://metadata/": "name",
    "http://instance-data/": "name",
    "http://host.docker.internal/": "name",
    "http://kubernetes.default.svc/": "name",
    "http://api.prod.svc.cluster.local/": "name",
    "http://router.home.arpa/": "name",
    "http://intranet/": "name",
    "http://nas.lan/": "name",
    "http://localhost6.localdomain6/": "name",
    "http://metadata.goog/": "name",
}

SPECIAL = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "10.255.255.255",
    "100.64.0.1",
    "100.100.100.200",
    "100.127.255.255",
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",
    "169.254.169.254",
    "169.254.170.2",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.1",
    "192.0.0.192",
    "192.0.2.1",
    "192.31.196.1",
    "192.52.193.1",
    "192.88.99.1",
    "192.168.0.1",
    "192.168.255.255",
    "192.175.48.1",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::8.8.8.8",
    "::ffff:127.0.0.1",
    "::ffff:8.8.8.8",
    "::ffff:0:127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::808:808",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "2001:2::1",
    "2001:10::1",
    "2001:20::1",
    "2001:1ff:ffff::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:808:808::",
    "2620:4f:8000::1",
    "3fff::1",
    "3fff:fff:ffff::1",
    "4000::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fec0::1",
    "ff02::1",
    "ff0e::1",
    "2606:4700::5efe:7f00:1",
    "2606:4700::200:5efe:a00:1",
]
ORDINARY = [
    "1.1.1.1",
    "8.8.8.8",
    "9.255.255.255",
    "11.0.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "126.255.255.255",
    "128.0.0.1",
    "168.63.129.15",
    "169.253.255.255",
    "169.255.0.0",
    "172.15.255.255",
    "172.32.0.0",
    "191.255.255.255",
    "192.0.1.1",
    "192.167.255.255",
    "192.169.0.0",
    "198.17.255.255",
    "198.20.0.0",
    "223.255.255.255",
    "2001:200::1",
    "2001:4860:4860::8888",
    "2003::1",
    "2606:4700::1111",
    "2a00:1450:4001:81b::200e",
    "3ffe::1",
]


@pytest.mark.parametrize("url", ALLOWED)
def test_ordinary_links_are_allowed_and_their_target_is_not_rewritten(url: str) -> None:
    found = judge(url)
    assert found.allowed, found.reason
    assert found
    assert (found.reason, found.rule) == (None, None)
    assert (found.host, found.port, found.target) == ALLOWED[url]
    assert found.addresses


@pytest.mark.parametrize("url", REFUSED)
def test_what_must_not_be_fetched_is_refused_by_its_rule(url: str) -> None:
    found = judge(url)
    assert not found
    assert not found.allowed
    assert found.rule == REFUSED[url], found.reason
    assert found.addresses == ()


@pytest.mark.parametrize("address", SPECIAL)
def test_every_special_address_is_refused_as_literal_and_as_answer(address: str) -> None:
    literal = f"[{address}]" if ":" in address else address
    assert judge(f"http://{literal}/").rule == "address"
    assert judge("http://cdn.example.com/", [address]).rule == "address"


@pytest.mark.parametrize("address", ORDINARY)
def test_ordinary_addresses_are_allowed(address: str) -> None:
    literal = f"[{address}]" if ":" in address else address
    assert judge(f"http://{literal}/").addresses == (str(ipaddress.ip_address(address)),)
    assert judge("http://cdn.example.com/", [address]).allowed


@pytest.mark.parametrize("position", [0, 1, 2])
def test_one_bad_answer_refuses_them_all(position: int) -> None:
    answers = ["8.8.8.8", "1.1.1.1"]
    answers.insert(position, "10.0.0.1")
    found = judge("http://cdn.example.com/", answers)
    assert (found.allowed, found.rule, found.addresses) == (False, "address", ())


@pytest.mark.parametrize(
    "answers",
    [
        [],
        None,
        "8.8.8.8",
        ["not an address"],
        ["8.8.8.8", ""],
        [None],
        [b"8.8.8.8"],
        ["fe80::1%eth0"],
        ["2606:4700::1%1"],
        ["010.8.8.8"],
        ["8.8.8.8 "],
        ["8.8.8.8"] * 1000,
        7,
    ],
)
def test_a_useless_resolver_refuses(answers: object) -> None:
    found = judge("http://cdn.example.com/", answers)
    assert not found.allowed
    assert found.rule in ("dns", "address")


@pytest.mark.parametrize("error", [OSError("nxdomain"), UnicodeError("label too long"), RuntimeError("boom")])
def test_a_failing_resolver_refuses(error: Exception) -> None:
    def fail(_host: str) -> list[str]:
        raise error

    found = verdict("http://cdn.example.com/", fail)
    assert (found.allowed, found.rule) == (False, "dns")
    assert str(error) not in (found.reason or "")


def test_the_resolver_is_asked_once_with_the_ascii_name_and_never_for_a_literal() -> None:
    asked: list[str] = []

    def resolve(host: str) -> list[str]:
        asked.append(host)
        return ["8.8.8.8"]

    verdict("https://BÜCHER.Example/", resolve)
    verdict("https://8.8.8.8/", resolve)
    verdict("https://[2606:4700::1111]/", resolve)
    verdict("https://user@cdn.example.com/", resolve)
    assert asked == ["xn--bcher-kva.example"]


def test_a_named_test_host_may_have_any_address_and_the_port_it_names() -> None:
    rules = {"allowed_hosts": ("127.0.0.1:8899", "emulator:9000", "plain.local", "[::1]:7000")}
    assert judge("http://127.0.0.1:8899/a", **rules).addresses == ("127.0.0.1",)
    assert judge("http://emulator:9000/a", ["10.0.0.1"], **rules).addresses == ("10.0.0.1",)
    assert judge("http://[::1]:7000/a", **rules).addresses == ("::1",)
    assert judge("http://plain.local:8080/a", ["10.0.0.1"], **rules).allowed
    assert judge("http://plain.local:9999/a", ["10.0.0.1"], **rules).rule == "port"
    assert judge("http://127.0.0.1:8898/a", **rules).rule == "port"
    assert judge("http://127.0.0.1/a", **rules).rule == "address"
    assert judge("http://emulator/a", ["10.0.0.1"], **rules).rule == "name"
    assert judge("http://user@127.0.0.1:8899/a", **rules).rule == "userinfo"
    assert judge("http://emulator:9000/a", ["nonsense"], **rules).rule == "address"


def test_nothing_private_is_allowed_by_default() -> None:
    assert not verdict("http://localhost:8080/", system_resolve).allowed
    assert not verdict("http://127.0.0.1:8080/", system_resolve).allowed


def test_reasons_and_reprs_hold_no_secret() -> None:
    secret = "hunter2-very-secret"
    for url in (
        f"https://me:{secret}@cdn.example.com/",
        f"https://10.0.0.1/?token={secret}",
        f"ftp://x/{secret}",
    ):
        assert secret not in repr(judge(url))
    assert secret not in repr(judge(f"https://cdn.example.com/?token={secret}"))


def test_an_absurdly_long_address_is_refused() -> None:
    assert judge("https://cdn.example.com/" + "a" * 70_000).rule == "url"


_PIECES = st.sampled_from(
    [
        *"://@\\?#[]%.;&= \t\r\n\0",
        "http",
        "https",
        "://",
        "127.0.0.1",
        "cdn.example.com",
        "localhost",
        "::1",
        "0x7f",
        *("。", "①", "%2e", ":80", "[::ffff:7f00:1]", "169.254.169.254", "xn--", "ü", "\u200d", "\ud800", "1"),
    ]
)


@settings(max_examples=1500, deadline=None)
@given(
    st.one_of(
        st.text(max_size=80),
        st.lists(_PIECES, max_size=12).map("".join),
        st.lists(_PIECES, max_size=10).map(lambda pieces: "http://" + "".join(pieces)),
        st.text(max_size=30).map(lambda host: f"https://{host}/"),
        st.none(),
        st.binary(max_size=20),
    ),
    st.one_of(st.just(PUBLIC), st.lists(st.text(max_size=20)), st.none(), st.lists(st.ip_addresses().map(str))),
)
@example("http://[", PUBLIC)
@example("http://xn--/", PUBLIC)
@example("http://xn--a.example/", PUBLIC)
def test_the_guard_never_raises_and_allows_only_global_addresses(url: object, answers: object) -> None:
    found = judge(url, answers)
    if not found.allowed:
        assert found.reason
        assert found.rule
        return
    assert found.scheme in ("http", "https")
    assert found.host
    assert found.host.isascii()
    assert found.addresses
    for address in map(ipaddress.ip_address, found.addresses):
        assert address.is_global
        assert not address.is_multicast
    assert found.target.startswith("/")
    assert found.target.isascii()
    assert found.target.isprintable()
    assert " " not in found.target


@settings(max_examples=500, deadline=None)
@given(st.ip_addresses())
def test_no_address_that_python_calls_private_gets_through(address: ipaddress.IPv4Address) -> None:
    if judge("http://cdn.example.com/", [str(address)]).allowed:
        assert address.is_global
        assert not address.is_private
