"""What the environment says about proxies and certificates: understood, passed over, or named; never shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aml_provider.client.errors import InvalidArgument
from aml_provider.client.http.environment import Proxies, Proxy, Trust

PROXY = Proxy("HTTPS_PROXY", "http://proxy.corp:3128")
VARIABLES = [f"{name}_PROXY" for name in ("HTTP", "HTTPS", "ALL", "NO")]
BUNDLES = ["SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"]


@pytest.fixture(autouse=True)
def clean(monkeypatch):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    for name in BUNDLES:
        monkeypatch.delenv(name, raising=False)


def goes_straight(no_proxy, url):
    return Proxies({"http": PROXY, "https": PROXY}, no_proxy).to_url(url) is None


@pytest.mark.parametrize(
    ("no_proxy", "url"),
    [
        ("corp.net", "https://corp.net"),
        ("corp.net", "https://ws.corp.net"),
        (".corp.net", "https://ws.corp.net"),
        ("*.corp.net", "https://ws.corp.net"),
        ("CORP.NET", "https://ws.Corp.net"),
        ("corp.net.", "https://ws.corp.net"),
        ("corp.net", "https://ws.corp.net."),
        ("a.b,  corp.net ,", "https://ws.corp.net"),
        ("a.b corp.net", "https://ws.corp.net"),
        ("corp.net:8443", "https://ws.corp.net:8443"),
        ("corp.net:443", "https://ws.corp.net"),
        ("corp.net:", "https://ws.corp.net"),
        ("bücher.example", "https://xn--bcher-kva.example"),
        ("xn--bcher-kva.example", "https://ws.bücher.example"),
        ("Bücher.example:443", "https://bücher.example"),
        ("fe80::1%eth0", "https://[fe80::1%25eth0]"),
        ("http://corp.net", "http://ws.corp.net"),
        ("all://corp.net", "https://ws.corp.net"),
        ("10.1.2.3", "https://10.1.2.3"),
        ("10.1.2.3:8700", "http://10.1.2.3:8700"),
        ("10.0.0.0/8", "https://10.1.2.3"),
        ("10.1.2.3/8", "https://10.1.2.3"),
        ("fd07:b51a:cc66:f0::/64", "https://[fd07:b51a:cc66:f0::1]"),
        ("fd07::1", "https://[fd07:0::0:1]"),
        ("[fd07::1]", "https://[fd07::1]"),
        ("[fd07::1]:8080", "http://[fd07::1]:8080"),
        ("*", "https://anything.example"),
        ("a.b, *", "https://anything.example"),
        # This host is asked directly in any case.
        ("", "http://localhost:8700"),
        ("", "http://127.0.0.1:8700"),
        ("", "http://127.1.2.3:8700"),
        ("", "http://[::1]:8700"),
    ],
)
def test_what_no_proxy_covers_goes_straight(no_proxy, url):
    assert goes_straight(no_proxy, url)


@pytest.mark.parametrize(
    ("no_proxy", "url"),
    [
        ("", "https://ws.corp.net"),
        (" , ,", "https://ws.corp.net"),
        # What Docker Desktop and podman set.
        ("::1,fd07:b51a:cc66:f0::/64", "https://ws.corp.net"),
        ("hubproxy.docker.internal,::1,127.0.0.0/8", "https://ws.corp.net"),
        ("corp.net", "https://mycorp.net"),
        ("corp.net:8443", "https://ws.corp.net"),
        ("https://corp.net", "http://ws.corp.net"),
        ("10.0.0.0/8", "https://11.1.2.3"),
        ("10.0.0.0/8", "https://ws.corp.net"),
        ("fd07::/64", "https://10.1.2.3"),
        ("[::1]:8080", "https://ws.corp.net"),
        # Nothing that anybody understands.
        ("10.*", "https://10.1.2.3"),
        ("[", "https://ws.corp.net"),
        ("]:x", "https://ws.corp.net"),
        ("::/999", "https://ws.corp.net"),
        ("http://", "https://ws.corp.net"),
        ("corp.net:99999999999999999999", "https://ws.corp.net"),
        pytest.param("corp.net:" + "9" * 5000, "https://ws.corp.net", id="a port of 5,000 digits"),
        ("corp.net:٤٤٣", "https://ws.corp.net"),
        ("ü" * 100 + ".net", "https://" + "ü" * 100 + ".org"),
        ("%%%", "https://ws.corp.net"),
    ],
)
def test_all_else_goes_through_the_proxy(no_proxy, url):
    assert not goes_straight(no_proxy, url)


@given(st.text(), st.sampled_from(["https://ws.corp.net", "https://10.1.2.3", "https://[fd07::1]:1"]))
def test_no_proxy_may_be_anything(no_proxy, url):
    Proxies({"https": PROXY}, no_proxy).to_url(url)


@pytest.mark.parametrize(
    ("variables", "proxy"),
    [
        ({}, None),
        ({"HTTPS_PROXY": "http://p:1"}, "http://p:1"),
        ({"https_proxy": "http://p:1"}, "http://p:1"),
        ({"https_proxy": "http://p:1", "HTTPS_PROXY": "http://q:1"}, "http://p:1"),
        # So a lower-case variable takes back what the other one says.
        ({"https_proxy": "", "HTTPS_PROXY": "http://q:1"}, None),
        ({"ALL_PROXY": "socks5h://p:1"}, "socks5h://p:1"),
        ({"all_proxy": "http://a:1", "HTTPS_PROXY": "http://p:1"}, "http://p:1"),
        ({"HTTP_PROXY": "http://p:1"}, None),
        ({"HTTPS_PROXY": "proxy.corp:3128"}, "http://proxy.corp:3128"),
        ({"HTTPS_PROXY": "//proxy.corp:3128"}, "http://proxy.corp:3128"),
        ({"HTTPS_PROXY": " http://p:1/\n"}, "http://p:1/"),
        ({"HTTPS_PROXY": "HTTPS://p:1"}, "https://p:1"),
        ({"HTTPS_PROXY": "SOCKS5h://U:P@p:1"}, "socks5h://U:P@p:1"),
        ({"HTTPS_PROXY": "http://u%40corp:pa%2Fss@p:1"}, "http://u%40corp:pa%2Fss@p:1"),
        ({"HTTPS_PROXY": "http://[fd07::1]:3128"}, "http://[fd07::1]:3128"),
        ({"HTTPS_PROXY": "http://p:1", "no_proxy": "corp.net"}, None),
        # What is not needed is not looked at.
        ({"HTTPS_PROXY": "http://p:1", "ALL_PROXY": "gopher://x"}, "http://p:1"),
        ({"HTTPS_PROXY": "nonsense://", "NO_PROXY": "corp.net"}, None),
    ],
)
def test_the_proxy_is_read_from_the_variables_that_others_read(monkeypatch, variables, proxy):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    found = Proxies.of_environment().to_url("https://ws.corp.net")
    assert (found and found.url) == proxy


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"])
@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("http://", "not the address of a proxy"),
        ("http://user:s3cret@", "not the address of a proxy"),
        ("http://user:s3cret@p:port", "not the address of a proxy"),
        ("http://user:s3cret@p:0", "not the address of a proxy"),
        ("http://user:s3cret#x@p:1", "not the address of a proxy"),
        ("http://user:s3c ret@p:1", "not the address of a proxy"),
        ("http://user:s3cret@p:1/path", "not the address of a proxy"),
        ("http://user:s3cret@[p:1", "not the address of a proxy"),
        ("http://user:s3cret@p:1?x", "not the address of a proxy"),
        ("socks4://user:s3cret@p:1", "of the kind 'socks4'"),
        ("PROXY s3cret:1; DIRECT", "not the address of a proxy"),
    ],
)
def test_an_invalid_address_is_named_and_not_shown(monkeypatch, variable, value, said):
    monkeypatch.setenv(variable, value)
    with pytest.raises(InvalidArgument) as caught:
        Proxies.of_environment().to_url("https://ws.corp.net")
    assert str(caught.value).startswith(f"{variable}: the environment variable ")
    assert said in str(caught.value)
    assert "s3c" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "407, url='http://user:pa%40s3@proxy.corp:3128'",
        "407, url='http://user:pa@s3@proxy.corp:3128'",
        "user:pa%40s3 is wrong",
        "pa@s3 is wrong",
        "Proxy-Authorization: Basic dXNlcjpwYUBzMw==",
    ],
)
def test_what_others_say_of_a_proxy_loses_its_password(text):
    hidden = Proxies({"https": Proxy("HTTPS_PROXY", "http://user:pa%40s3@proxy.corp:3128")}).hidden(text)
    assert "***" in hidden
    assert not any(form in hidden for form in ("pa%40s3", "pa@s3", "dXNlcjpwYUBzMw"))
    # Also where the address is none; and a short password is a word.
    assert Proxies({"https": Proxy("HTTPS_PROXY", "user:pa%40s3@[p")}).hidden("user:pa%40s3") == "***"
    assert Proxies({"https": Proxy("HTTPS_PROXY", "http://a:e@p")}).hidden("refused at e") == "refused at e"


def test_a_long_list_is_read_once(monkeypatch):
    monkeypatch.setenv("NO_PROXY", ",".join(f"host{number}.corp" for number in range(5000)))
    first, second = Proxies.of_environment(), Proxies.of_environment()
    assert first._exceptions is second._exceptions


def test_a_proxy_shows_no_password():
    proxy = Proxy("HTTPS_PROXY", "http://user:s3cret@proxy.corp:3128")
    assert proxy.place == "the proxy proxy.corp:3128 (HTTPS_PROXY)"
    assert "s3cret" not in f"{proxy} {proxy!r} {[proxy]}"


class TestCertificates:
    def test_without_a_word_the_public_authorities_are_trusted(self):
        assert Trust.of_environment() == Trust()
        assert Trust.of_environment().context() is None

    @pytest.mark.parametrize("variable", BUNDLES)
    def test_each_variable_counts(self, monkeypatch, tmp_path, variable, authority_file):
        path = tmp_path if variable == "SSL_CERT_DIR" else authority_file
        monkeypatch.setenv(variable, str(path))
        assert Trust.of_environment().variable == variable
        # Of a directory, certificates are read when they are needed.
        assert Trust.of_environment().context().cert_store_stats()["x509_ca"] == (
            0 if variable == "SSL_CERT_DIR" else 1
        )

    def test_the_first_variable_wins_and_an_empty_one_is_ignored(self, monkeypatch, authority_file):
        monkeypatch.setenv("SSL_CERT_FILE", "")
        monkeypatch.setenv("SSL_CERT_DIR", str(authority_file.parent))
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", "missing")
        assert Trust.of_environment().variable == "SSL_CERT_DIR"

    def test_of_several_directories_one_may_be_missing(self, monkeypatch, tmp_path):
        monkeypatch.setenv("SSL_CERT_DIR", f"/missing:{tmp_path}")
        assert Trust.of_environment().directory == str(tmp_path)
        Trust.of_environment().context()

    @pytest.mark.parametrize(
        ("variable", "kind"),
        [
            *((variable, kind) for variable in BUNDLES for kind in ("missing", "empty", "no certificate")),
            # requests and curl take a directory too.
            ("SSL_CERT_FILE", "directory"),
        ],
    )
    def test_what_cannot_be_used_is_named(self, monkeypatch, tmp_path, variable, kind):
        path = tmp_path / "x"
        if kind == "empty":
            path.touch()
        elif kind == "no certificate":
            path.write_text("hello")
        elif kind == "directory":
            path = tmp_path
        monkeypatch.setenv(variable, str(path))
        with pytest.raises(InvalidArgument, match=rf"^{variable}: the environment variable names '{path}', which "):
            Trust.of_environment().context()


@pytest.fixture
def authority_file(tmp_path):
    import trustme

    path = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(str(path))
    return path
