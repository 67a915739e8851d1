"""Addresses of blob folders."""

from __future__ import annotations

import pytest

from aml_provider.blobs.folder import Folder, normalise_path
from aml_provider.client.errors import InvalidArgument

URL = "https://acct.blob.core.windows.net/landing"


@pytest.mark.parametrize(
    ("path", "prefix"),
    [
        ("", ""),
        ("/", ""),
        ("in", "in/"),
        ("/in/", "in/"),
        ("a b/ü?#%", "a b/ü?#%/"),
        ("a..b", "a..b/"),
    ],
)
def test_a_path_becomes_a_prefix(path, prefix):
    assert normalise_path(path) == prefix


@pytest.mark.parametrize("path", ["..", "a/../b", "./a", "a\\b", "dbl//", "//a", "a//b", "//", None, 3])
def test_a_bad_path_is_named(path):
    with pytest.raises(ValueError, match=r"^path: "):
        normalise_path(path)


@pytest.mark.parametrize(
    "url",
    [
        URL,
        "http://127.0.0.1:10000/devstoreaccount1/landing",
        "http://localhost:10000/devstoreaccount1/landing",
        "http://[::1]:10000/devstoreaccount1/landing",
        "https://acct.privatelink.blob.core.windows.net/$root",
        "https://blobs.example.org/landing",
        "https://blobs.example.org/acct/landing",
    ],
)
def test_container_urls(url):
    assert Folder.at(url).container_url == url
    assert Folder.at(url + "/").container_url == url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "landing",
        "wasbs://landing@acct.blob.core.windows.net",
        "http://acct.blob.core.windows.net/landing",
        "https://acct.blob.core.windows.net",
        "https://acct.blob.core.windows.net/landing/folder",
        "https://acct.blob.core.windows.net/Landing",
        "https://acct.dfs.core.windows.net/landing",
        "https://user:secret@acct.blob.core.windows.net/landing",
        "https:/user:secret@acct.blob.core.windows.net/landing",
        "https:///user:secret@acct.blob.core.windows.net/landing",
        "user:secret@acct.blob.core.windows.net/landing",
        "https://user:secret#1@acct.blob.core.windows.net/landing",
        "https://user:secret?1@acct.blob.core.windows.net/landing",
        "https://user:secret%40acct.blob.core.windows.net/landing",
        "https://user:secret\uff20acct.blob.core.windows.net/landing",
        "https://user:secret/landing",
        "http://127.0.0.1:10000/landing",
        "http://127.0.0.1:port/a/landing",
        URL + "?sv=2024&sig=secret",
        URL + "#secret",
        None,
    ],
)
def test_a_bad_container_url_is_named_and_its_secrets_are_not(url):
    with pytest.raises(InvalidArgument, match=r"^container_url: ") as caught:
        Folder.at(url)
    assert "secret" not in str(caught.value).replace("secrets", "")


def test_plain_http_to_other_hosts_must_be_allowed():
    url = "http://azurite:10000/devstoreaccount1/landing"
    with pytest.raises(InvalidArgument, match="plain http"):
        Folder.at(url)
    assert Folder.at(url, allow_http=True).container_url == url


@pytest.mark.parametrize("url", ["https://user:s3cret@host/c", "https://user:s3cret@host/c?x=1", "ftp://u:s3cret@h/c"])
def test_a_login_in_the_address_is_refused_and_not_repeated(url):
    with pytest.raises(InvalidArgument, match="secrets belong in the connection") as refused:
        Folder.at(url)
    assert "s3cret" not in str(refused.value)


SAME = [
    ("https://acct.blob.core.windows.net/landing", "https://ACCT.Blob.Core.Windows.net:443/landing"),
    ("https://acct.blob.core.windows.net/landing", "https://acct.blob.core.windows.net./landing/"),
    ("https://acct.blob.core.windows.net/landing", "https://acct.privatelink.blob.core.windows.net/landing"),
    ("https://acct.blob.core.windows.net/landing", "https://acct-secondary.blob.core.windows.net/landing"),
    ("https://acct.blob.core.windows.net/landing", "https://acct-secondary-ipv6.blob.core.windows.net/landing"),
    ("https://acct.blob.core.windows.net/landing", "https://acct-microsoftrouting.blob.core.windows.net/landing"),
    ("https://acct.blob.core.windows.net/landing", "https://acct.z12.blob.storage.azure.net/landing"),
    ("https://acct.blob.core.windows.net/landing", "http://acct.blob.core.windows.net/landing"),
    ("https://acct.blob.core.windows.net/landing", "https://gateway.example.org/acct/landing"),
    ("https://acct.blob.core.windows.net/$root", "https://acct.blob.core.windows.net:443/$root/"),
    ("http://127.0.0.1:10000/devstoreaccount1/landing", "http://localhost:10000/DevStoreAccount1/landing"),
    ("http://127.0.0.1:10000/devstoreaccount1/landing", "http://[::1]:10000/devstore%61ccount1/landing"),
    ("http://127.0.0.1:10000/devstoreaccount1/landing", "http://127.0.0.1:10000/devstoreaccount1-secondary/landing"),
    ("https://blobs.example.org/landing", "https://Blobs.example.org:443/landing/"),
]
OTHERS = [
    ("https://acct.blob.core.windows.net/landing", "https://acct2.blob.core.windows.net/landing"),
    ("https://acct.blob.core.windows.net/landing", "https://acct.blob.core.windows.net/landing2"),
    ("https://acct.blob.core.windows.net/landing", "https://gateway.example.org/other/landing"),
    ("http://127.0.0.1:10000/devstoreaccount1/landing", "http://127.0.0.1:10001/devstoreaccount1/landing"),
    ("https://blobs.example.org/landing", "https://blobs2.example.org/landing"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_a_folder_is_the_same_by_each_of_its_addresses(one, other):
    one, other = (Folder.at(url, "in", allow_http=True) for url in (one, other))
    assert one.is_same_as(other)
    assert other.is_same_as(one)
    assert not one.is_same_as(Folder.at(other.container_url, "in/sub", allow_http=True))


@pytest.mark.parametrize(("one", "other"), OTHERS)
def test_another_container_is_another_folder(one, other):
    assert not Folder.at(one, "in").is_same_as(Folder.at(other, "in"))


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:10000/devstoreaccount1/c", "https://acct.blob.core.windows.net/Landing"]
)
def test_an_invalid_container_name_is_named(url):
    with pytest.raises(InvalidArgument, match="which is not a valid container name: 3 to 63 lower-case letters"):
        Folder.at(url)
