"""The asset URI: what it accepts, what it refuses and how, and what Airflow makes of that."""

from __future__ import annotations

from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.airflow.traced import NEEDS_OPENLINEAGE

from aml_provider.assets import DatastoreUri, convert_asset_to_openlineage, create_asset, sanitize_uri
from aml_provider.compat import AIRFLOW_V_3_0_PLUS, Asset

PLACE = "azureml://0000-1/rg/ws/datastores/store/paths"
LONG = "azureml://subscriptions/0000-1/resourcegroups/RG/workspaces/Ws/datastores/Store/paths/In/a.csv"


def sanitized(text):
    return sanitize_uri(urlsplit(text)).geturl()


@pytest.mark.parametrize(
    ("given", "becomes"),
    [
        (f"{PLACE}/in/a.csv", f"{PLACE}/in/a.csv"),
        (PLACE, PLACE),
        (f"{PLACE}/", PLACE),
        # Azure ignores the case of all names but the blob's.
        ("azureml://0000-1/RG/Ws/Datastores/Store/Paths/In/A.csv", f"{PLACE}/In/A.csv"),
        # One spelling for each name of a blob.
        (f"{PLACE}/a b.csv", f"{PLACE}/a%20b.csv"),
        (f"{PLACE}/a%20b.csv", f"{PLACE}/a%20b.csv"),
        (f"{PLACE}/%C3%BC%2fb", f"{PLACE}/%C3%BC/b"),
        (f"{PLACE}/100%25%3F%23", f"{PLACE}/100%25%3F%23"),
        (f"{PLACE}/date=2026-01-01/a@b,(c).csv", f"{PLACE}/date=2026-01-01/a@b,(c).csv"),
        (
            "azureml://0000-1/R.g_(x)-1/ws/datastores/store/paths",
            "azureml://0000-1/r.g_(x)-1/ws/datastores/store/paths",
        ),
    ],
)
def test_it_is_normalised(given, becomes):
    assert create_asset(uri=given).uri == becomes
    assert sanitized(becomes) == becomes
    if AIRFLOW_V_3_0_PLUS and given != becomes:
        # Airflow 3 would keep the author's text as the asset's name.
        with pytest.raises(ValueError, match="must be in its normal form") as refusal:
            sanitized(given)
        assert refusal.value.text.endswith(f"write {becomes}")
    else:
        assert sanitized(given) == becomes


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ("azureml://landing/in", "must contain datastores/STORE/paths/PATH after the workspace"),
        ("azureml://0000-1/rg/ws/datastores/store", "must contain datastores/STORE/paths/PATH after the workspace"),
        ("azureml://0000-1/rg/ws/data/prices/versions/3", "must contain datastores/STORE/paths/PATH"),
        ("azureml://datastores/store/paths/in", "must begin with the subscription id"),
        ("azureml://registries/shared/data/x", "must begin with the subscription id"),
        (LONG, "write azureml://0000-1/rg/ws/datastores/store/paths/In/a.csv"),
        ("azureml:prices:3", "this is a reference to a data asset"),
        ("azureml:///rg/ws/datastores/store/paths", "must name a place in a datastore"),
        ("azureml://me@0000-1/rg/ws/datastores/store/paths", "must not contain a user name"),
        ("azureml://0000-1:80/rg/ws/datastores/store/paths", "must not contain a user name, a password or a port"),
        ("azureml://sub_1/rg/ws/datastores/store/paths", "must contain a subscription id (letters"),
        ("azureml://0000-1/r g/ws/datastores/store/paths", "must contain a resource group (letters"),
        ("azureml://0000-1/rg./ws/datastores/store/paths", "must contain a resource group (letters"),
        ("azureml://0000-1/rg/w.s/datastores/store/paths", "must contain a workspace name (letters"),
        ("azureml://0000-1/rg/ws/datastores/a.b/paths", "must contain a datastore name (letters"),
        (f"{PLACE}/a/../b", "must not contain the segments '.' and '..'"),
        (f"{PLACE}/a%5Cb", "has a backslash"),
        (f"{PLACE}/a%FF", "must be percent-encoded as UTF-8"),
        (f"{PLACE}/a?x=1", "must not contain a query string"),
        (f"{PLACE}/a#1.csv", "must not contain '#'; in a blob's name, write %23"),
        # In small letters it is an i and a dot above, which no resource group has.
        ("azureml://0000-1/R%C4%B0/ws/datastores/store/paths", "must contain a resource group (letters"),
    ],
)
def test_a_wrong_one_is_refused_with_a_sentence(wrong, why):
    with pytest.raises(ValueError) as refusal:  # noqa: PT011 - the text is compared below
        sanitized(wrong)
    assert why in str(refusal.value)
    assert str(refusal.value).startswith("uri: must ")
    assert "invalid-argument" in str(refusal.value)


@pytest.mark.parametrize(
    ("character", "escaped"), [("#", "%23"), ("?", "%3F"), ("\t", "%09"), ("\r", "%0D"), ("\n", "%0A")]
)
@pytest.mark.parametrize("uri", [f"{PLACE}/a", LONG])
def test_no_character_is_left_out_of_a_blobs_name_without_a_word(uri, character, escaped):
    with pytest.raises(ValueError, match=f"in a blob's name, write {escaped}"):
        create_asset(uri=f"{uri}{character}")
    assert create_asset(uri=f"{uri}{escaped}").uri.endswith(escaped)


def test_no_refusal_repeats_a_secret():
    for wrong in (f"{PLACE}/a?sv=1&sig=s3cret", "azureml://me:s3cret@0000-1/rg/ws/datastores/store/paths"):
        with pytest.raises(ValueError, match="must not contain") as refusal:
            sanitized(wrong)
        assert "s3cret" not in str(refusal.value)


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=30))
def test_every_path_survives_its_uri(path):
    try:
        place = DatastoreUri.at("0000-1", "rg", "ws", "store", path)
    except ValueError:
        assert "\\" in path or {".", ".."} & set(path.strip("/").split("/"))
        return
    assert DatastoreUri.of(str(place)) == place
    assert sanitized(str(place)) == str(place)
    assert place.path == path.strip("/")


SHOUTED = "azureml://0000-1/RG/ws/datastores/STORE/paths/In"


def test_airflow_asks_it():
    if AIRFLOW_V_3_0_PLUS:
        with pytest.raises(ValueError, match=f"write {PLACE}/In"):
            Asset(SHOUTED)
    else:
        assert Asset(SHOUTED).uri == f"{PLACE}/In"
    assert Asset(f"{PLACE}/In").normalized_uri == f"{PLACE}/In"


@pytest.mark.parametrize("uri", [SHOUTED, f"{SHOUTED}/", f"{PLACE}/In"])
def test_one_place_is_one_asset(uri):
    assert create_asset(uri=uri) == Asset(f"{PLACE}/In")


@pytest.mark.parametrize("rest", ["/", "#1.csv"])
def test_what_airflow_cuts_off_before_it_asks_cannot_be_refused(rest):
    """docs/reference/lineage.md says so; if Airflow changes this, it can be refused."""
    assert Asset(f"{PLACE}/In{rest}").uri == f"{PLACE}/In"


def test_airflow_refuses_a_wrong_one_as_it_does_for_other_providers():
    wrong = "azureml://landing/in"
    if AIRFLOW_V_3_0_PLUS:
        with pytest.raises(ValueError, match="must contain datastores/STORE/paths/PATH"):
            Asset(uri=wrong)
        return
    with pytest.warns(UserWarning, match="is not AIP-60 compliant: uri: must contain"):
        assert Asset(uri=wrong).uri == wrong


def test_an_asset_is_made_of_the_parts():
    made = create_asset(
        subscription_id="0000-1",
        resource_group="RG",
        workspace_name="ws",
        datastore="store",
        path="in/ü?.csv",
        extra={"team": "a"},
    )
    assert made.uri == f"{PLACE}/in/%C3%BC%3F.csv"
    assert made.extra == {"team": "a"}


def test_an_asset_is_made_of_azures_long_form():
    assert create_asset(uri=LONG) == create_asset(uri="azureml://0000-1/rg/ws/datastores/store/paths/In/a.csv")
    providers = LONG.replace("/workspaces/", "/providers/Microsoft.MachineLearningServices/workspaces/")
    assert create_asset(uri=providers) == create_asset(uri=LONG)


def test_the_parts_are_checked():
    with pytest.raises(ValueError, match="must contain a workspace name"):
        create_asset(subscription_id="0000-1", resource_group="rg", datastore="store")
    with pytest.raises(ValueError, match="cannot be given together"):
        create_asset(uri=LONG, datastore="store")
    with pytest.raises(ValueError, match="must begin with azureml://"):
        create_asset(uri="https://account.blob.core.windows.net/c")


@NEEDS_OPENLINEAGE
def test_it_has_a_name_in_openlineage():
    found = convert_asset_to_openlineage(SimpleNamespace(uri=f"{PLACE}/in/a%20b.csv"), None)
    assert (found.namespace, found.name) == ("azureml://0000-1/rg/ws", "datastores/store/paths/in/a b.csv")


@NEEDS_OPENLINEAGE
def test_openlineage_finds_the_converter():
    from airflow.providers.openlineage.extractors.manager import ExtractorManager

    found = ExtractorManager.convert_to_ol_dataset(Asset(uri=f"{PLACE}/in"))
    assert (found.namespace, found.name) == ("azureml://0000-1/rg/ws", "datastores/store/paths/in")
