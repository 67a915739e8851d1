"""Growing logs in blob storage, which serves ranges in its own way: read by both drivers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from azure.storage.blob import BlobSasPermissions, BlobType, generate_blob_sas
from azurite import ACCOUNT_KEY, ACCOUNT_NAME
from support.drivers.driving import DRIVERS, workspace

from aml_provider.client.errors import ServiceError
from aml_provider.client.flows.log_file import LogFile, News, read_news

LINES = [b"line %d\n" % number for number in range(500)]


@pytest.fixture
def blob(azurite):
    """A blob that does not exist yet."""
    return azurite.container().get_blob_client("user_logs/std_log.txt")


@pytest.fixture(params=DRIVERS)
def read(request, azurite, blob):
    """Read what is new of the blob, with a link that is signed for it."""
    signature = generate_blob_sas(
        ACCOUNT_NAME,
        blob.container_name,
        blob.blob_name,
        account_key=ACCOUNT_KEY,
        permission=BlobSasPermissions(read=True),
        expiry=datetime.now(UTC) + timedelta(hours=1),
    )
    settings = workspace(endpoint=azurite.blob_endpoint, blob_endpoint=azurite.blob_endpoint)
    known = LogFile()

    def read():
        news = DRIVERS[request.param](settings, read_news("read the log", f"{blob.url}?{signature}", known))
        if not news.is_replaced:
            known.add(news.data)
        return news

    return read


def test_what_is_appended_is_news_once(blob, read):
    blob.create_append_blob()
    assert read() == News(b"")
    blob.append_block(LINES[0])
    assert read() == News(LINES[0])
    assert read() == News(b"")
    blob.append_block(b"".join(LINES[1:]))
    assert read() == News(b"".join(LINES[1:]))


def test_a_log_that_is_written_again_as_a_whole_has_grown(blob, read):
    for count in (1, 300, 300, 500):
        before = b"".join(LINES[:count])
        blob.upload_blob(before, blob_type=BlobType.BlockBlob, overwrite=True)
        read()
    blob.upload_blob(before + b"end\n", overwrite=True)
    assert read() == News(b"end\n")


@pytest.mark.parametrize("other", [b"", b"x\n", b"x\n" * 9000], ids=["empty", "shorter", "longer"])
def test_another_log_of_the_same_name_is_recognised(blob, read, other):
    blob.upload_blob(b"".join(LINES))
    read()
    blob.upload_blob(other, overwrite=True)
    assert read() == News(other, is_replaced=True)


def test_a_blob_that_does_not_exist_is_an_error(read):
    with pytest.raises(ServiceError, match="404"):
        read()
