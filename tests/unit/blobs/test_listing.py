"""Requests and pages of List Blobs."""

from __future__ import annotations

from urllib.parse import quote
from xml.sax.saxutils import escape

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.drivers.breaths import answer
from support.drivers.listed_folder import page_reply

from aml_provider.blobs.access import ContainerAccess
from aml_provider.blobs.folder import Folder
from aml_provider.blobs.folder_state import FolderState
from aml_provider.blobs.listing import list_request, poll_folder
from aml_provider.blobs.page_parser import _parse_fast, _parse_xml, parse_page
from aml_provider.blobs.rules import Rules
from aml_provider.client.errors import MalformedReply, ServerFault, ServiceError

URL = "https://acct.blob.core.windows.net/landing"
ACCESS = ContainerAccess(sas="sig=x")
DATE = "Sun, 22 Nov 2026 12:00:00 GMT"
# As Azure writes it, byte-order mark included; the order of the elements is the reference's.
HEAD = (
    '\ufeff<?xml version="1.0" encoding="utf-8"?>'
    '<EnumerationResults ServiceEndpoint="https://acct.blob.core.windows.net/" ContainerName="landing">'
    "<Prefix>in/</Prefix><MaxResults>5000</MaxResults><Delimiter>/</Delimiter><Blobs>"
)
TAIL = "</Blobs><NextMarker /></EnumerationResults>"
REST = (
    "<Content-Type>text/csv</Content-Type><Content-Encoding /><Content-Language /><Content-CRC64 />"
    "<Content-MD5>1B2M2Y8AsgTpgAmY7PhCfg==</Content-MD5><Cache-Control /><Content-Disposition />"
    "<BlobType>BlockBlob</BlobType><AccessTier>Hot</AccessTier><AccessTierInferred>true</AccessTierInferred>"
    "<LeaseStatus>unlocked</LeaseStatus><LeaseState>available</LeaseState><ServerEncrypted>true</ServerEncrypted>"
)


def blob(name, *, attribute="", etag="0x8DC1", size=7, extra="", metadata="<OrMetadata />", written=DATE):
    return (
        f"<Blob><Name{attribute}>{name}</Name><Properties><Creation-Time>{DATE}</Creation-Time>"
        f"<Last-Modified>{written}</Last-Modified><Etag>{etag}</Etag>{extra}<Content-Length>{size}</Content-Length>{REST}"
        f"</Properties>{metadata}</Blob>"
    )


def page(*entries, tail=TAIL):
    return (HEAD + "".join(entries) + tail).encode()


def names(body):
    return [row[0].decode() for row in parse_page(body).rows]


def test_a_row_is_name_time_etag_and_size():
    assert parse_page(page(blob("in/a.csv"))).rows == [(b"in/a.csv", DATE.encode(), b"0x8DC1", b"7")]


def test_an_empty_listing_is_an_empty_page():
    body = (HEAD.replace("<Blobs>", "<Blobs />") + TAIL.replace("</Blobs>", "")).encode()
    assert parse_page(body) == (([], [], [], []), frozenset(), [])


def test_names_are_unescaped():
    body = page(
        blob("in/a &amp;amp; &lt;b&gt; &quot;&apos;&#x41;&#65;.csv"),
        blob("in/Grüße 漢字 😀 {{ 1+1 }}.csv"),
        blob("in/100%25.csv"),
        blob(quote("in/odd\ufffe%.csv"), attribute=' Encoded="true"'),
        blob("in/quoted", etag='"0x8DC1"'),
    )
    assert _parse_fast(body) is not None
    assert names(body) == [
        "in/a &amp; <b> \"'AA.csv",
        "in/Grüße 漢字 😀 {{ 1+1 }}.csv",
        "in/100%25.csv",
        "in/odd\ufffe%.csv",
        "in/quoted",
    ]
    assert {row[2] for row in parse_page(body).rows} == {b"0x8DC1"}


def test_sub_folders_are_read_at_any_position():
    flat = "<BlobPrefix><Name>in/sub/</Name></BlobPrefix>"
    hierarchical = (
        '<BlobPrefix><Name Encoded="true">in/b%26c/</Name><Properties><Creation-Time>x</Creation-Time><Last-Modified>'
        f"{DATE}</Last-Modified><Etag>0x1</Etag><ResourceType>directory</ResourceType><Content-Length>0</Content-Length>"
        "</Properties></BlobPrefix>"
    )
    body = page(hierarchical, blob("in/x"), flat, blob("in/y"))

    assert _parse_fast(body) == _parse_xml(body)
    assert parse_page(body).prefixes == [b"in/b&c/", b"in/sub/"]
    assert names(body) == ["in/x", "in/y"]


def test_directory_markers_of_the_service_are_read():
    owner = "<Owner>$superuser</Owner><Group>$superuser</Group><Permissions>rwxr-x---</Permissions><Acl>user::rwx</Acl>"
    body = page(
        blob("in/dir", size=0, metadata="<Metadata><hdi_isfolder>true</hdi_isfolder></Metadata>"),
        blob("in/hns", size=0, extra=f"{owner}<ResourceType>directory</ResourceType>"),
        blob("in/file", size=9, extra=f"{owner}<ResourceType>file</ResourceType>"),
        blob("in/empty", size=0, metadata='<Metadata><note>"quoted"</note></Metadata>'),
    )
    assert _parse_fast(body) == _parse_xml(body)
    assert parse_page(body).directories == {b"in/dir", b"in/hns"}


@pytest.mark.parametrize(
    "body",
    [
        page(blob("in/a")).replace(b"<Blob>", b"<Blob kind='new'>"),
        page(blob("in/a"), blob("in/b")).replace(b"<Blob>", b"<Blob kind='new'>", 1),
        page(blob("in/a"), "<BlobPrefix><Name>in/s/</Name></BlobPrefix>").replace(b"<BlobPrefix>", b"<BlobPrefix >"),
        page(blob("in/a"), "<BlobPrefix><Name>in/s/</Name></BlobPrefix>").replace(b"<Blob>", b"<Blob\n>"),
        page(blob("in/a"), "<BlobPrefix><Name>in/s/</Name></BlobPrefix>").replace(b"<Properties>", b"<Properties >"),
    ],
    ids=["every blob", "one blob", "sub-folder", "blob next to a sub-folder", "properties next to a sub-folder"],
)
def test_no_entry_is_skipped_because_its_tag_is_written_differently(body):
    assert len(parse_page(body).rows) == body.count(b"</Blob>")
    assert len(parse_page(body).prefixes) == body.count(b"</BlobPrefix>")


def test_another_shape_goes_through_the_xml_parser():
    other = (
        f"<Blob>\n <Properties><Etag>0x2</Etag><Content-Length>3</Content-Length><Last-Modified>{DATE}</Last-Modified>"
        "</Properties><Name>in/b</Name></Blob>"
    )
    body = page(blob("in/a"), other)

    assert _parse_fast(body) is None
    assert parse_page(body).rows[1] == (b"in/b", DATE.encode(), b"0x2", b"3")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html><body>sign in</body></html>",
        page(blob("in/a"))[:-30],
        page("<Blob><Name>in/a</Name><Properties></Properties></Blob>"),
        page("<Blob><Name></Name></Blob>"),
        page("<BlobPrefix></BlobPrefix>"),
    ],
)
def test_a_body_that_is_not_a_listing_is_refused(body):
    with pytest.raises(MalformedReply):
        run([body])


TEXT = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"),
    min_size=1,
    max_size=9,
)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["plain", "encoded", "prefix", "directory", "other"]),
            TEXT,
            st.integers(0, 3),
            st.booleans(),
        )
    )
)
def test_both_parsers_read_the_same(entries):
    texts = []
    for kind, name, size, quoted in entries:
        etag = '"0x8D"' if quoted else "0x8D"
        if kind == "plain":
            texts.append(blob(escape(name), size=size, etag=etag))
        elif kind == "encoded":
            texts.append(blob(quote(name), attribute=' Encoded="true"', size=size))
        elif kind == "prefix":
            texts.append(f"<BlobPrefix><Name>{escape(name)}/</Name></BlobPrefix>")
        elif kind == "directory":
            texts.append(blob(escape(name), size=0, metadata="<Metadata><hdi_isfolder>true</hdi_isfolder></Metadata>"))
        else:
            texts.append(blob(escape(name), extra="<New-Field>1</New-Field>"))
    body = page(*texts)
    fast = _parse_fast(body)

    assert (fast is None) == any(kind == "other" for kind, *_ in entries)
    assert parse_page(body) == _parse_xml(body)
    assert [row[0].decode() for row in parse_page(body).rows] == [
        name for kind, name, *_ in entries if kind != "prefix"
    ]


ODD = st.sampled_from(
    [
        *("&#x110000;", "&#0;", "&#1;", "&#xD800;", "&#xFFFE;", "&#13;", "&#65;", "&#00000065;", "&amp", "&nbsp;", "&"),
        *(
            "\r",
            "\x01",
            "\x0b",
            "\x7f",
            "\u2003",
            "\ufffe",
            "\n",
            " ",
            '"',
            "%41",
            "%",
            "]]>",
            "<!-- -->",
            "<![CDATA[x]]>",
            "",
        ),
    ]
)
VALUE = st.one_of(ODD, TEXT.map(escape), st.tuples(TEXT.map(escape), ODD).map("".join))
SIZES = st.sampled_from(["0", "1", "7", "00", "007", "9" * 19, "9" * 20, "1" * 5000, "٣", " 1", "-1", "1e3", ""])
ETAGS = st.one_of(st.sampled_from(["0x8D", '"0x8D"', '""', '"', "ü", "0x8D "]), VALUE)
KEYS = st.sampled_from(
    ["hdi_isfolder", "Hdi_isfolder", "HDI_ISFOLDER", "hdi_isfolder2", "Blob", "BlobPrefix", "Name", "Etag"]
)
FLAGS = st.sampled_from(
    ["true", "True", " true\n", "false", "", "&#116;rue", "\u2003true", "<![CDATA[true]]>", "truer"]
)
TYPES = st.sampled_from(
    [
        "",
        "<ResourceType>directory</ResourceType>",
        "<ResourceType>Directory</ResourceType>",
        "<ResourceType>file</ResourceType>",
    ]
)


@st.composite
def odd_row(draw):
    attribute = draw(st.sampled_from(["", ' Encoded="true"', ' Encoded="false"']))
    keys = "".join(f"<{key}>{draw(FLAGS)}</{key}>" for key in draw(st.lists(KEYS, max_size=2)))
    metadata = draw(
        st.sampled_from(["<OrMetadata />", f"<Metadata>{keys}</Metadata>", f"<Metadata >{keys}</Metadata>"])
    )
    if draw(st.booleans()):
        return blob(
            draw(VALUE),
            attribute=attribute,
            etag=draw(ETAGS),
            size=draw(SIZES),
            metadata=metadata,
            extra=draw(TYPES),
            written=draw(st.one_of(st.just(DATE), VALUE)),
        )
    return blob("in/flag", size=draw(st.sampled_from(["0", "1"])), metadata=metadata, extra=draw(TYPES))


def read(parser, body):
    try:
        return parser(body)
    except MalformedReply:
        return None


@settings(max_examples=1000, deadline=None)
@given(odd_row(), st.booleans())
def test_both_parsers_read_each_row_the_same(row, in_company):
    body = page(row, *[blob("in/x"), "<BlobPrefix><Name>in/s/</Name></BlobPrefix>"] * in_company)

    assert read(parse_page, body) == read(_parse_xml, body)


@pytest.mark.parametrize("etag", ["0x8DC1", '"0x8DC1"'])
@pytest.mark.parametrize("sizes", [range(1, 40), range(300, 301), range(7, 900, 13)], ids=["short", "one", "varied"])
def test_no_blob_of_a_large_page_is_lost_where_the_search_is_cut_into_pieces(etag, sizes):
    lengths = [*sizes] * (3000 // len(sizes))
    entries = [
        f"<BlobPrefix><Name>in/{number}/</Name></BlobPrefix>"
        if number % 7 == 0
        else blob(f"in/{number:06d}{'x' * length}", etag=etag)
        for number, length in enumerate(lengths)
    ]
    body = page(*entries)

    fast = _parse_fast(body)
    assert fast == _parse_xml(body)
    assert len(fast.rows) + len(fast.prefixes) == len(lengths)


def test_an_odd_entry_anywhere_in_a_large_page_leaves_the_page_to_the_xml_parser():
    entries = [blob(f"in/{number:06d}") for number in range(3000)]
    for odd in (0, 650, 1500, 2999):
        body = page(*entries[:odd], blob("in/odd", size="007"), *entries[odd:])
        assert _parse_fast(body) is None
        assert len(parse_page(body).rows) == 3001


@pytest.mark.parametrize("text", ["&#x110000;", "&#xD800;", "&#0;", "&nbsp;", "&", "\x01", "\ufffe"])
@pytest.mark.parametrize(
    "body",
    [blob("in/{}"), blob("in/a", etag="0x{}"), "<BlobPrefix><Name>in/{}/</Name></BlobPrefix>"],
    ids=["name", "etag", "sub-folder"],
)
def test_an_invalid_character_is_refused(body, text):
    with pytest.raises(MalformedReply):
        run([page(body.format(text))])


@pytest.mark.parametrize("marker", ["&#x110000;", "&#xD800;", "&nbsp;", "&"])
def test_a_marker_that_cannot_be_read_is_refused(marker):
    with pytest.raises(MalformedReply, match="marker"):
        run([page(tail=f"</Blobs><NextMarker>m{marker}</NextMarker></EnumerationResults>")])


@pytest.mark.parametrize("size", ["9" * 20, "1" * 5000, "", "-1", "٣"])
def test_an_invalid_size_is_refused(size):
    with pytest.raises(MalformedReply, match="Content-Length"):
        run([page(blob("in/a", size=size))])


def test_a_listing_without_an_end_is_refused():
    def pages():
        for number in range(1_000_000):
            tail = f"</Blobs><NextMarker>{number}</NextMarker></EnumerationResults>"
            yield page(tail=tail)

    with pytest.raises(MalformedReply, match="5000 pages"):
        run(pages())


@pytest.mark.parametrize("expansion", ["x" * 1000, "&lt;"])
def test_a_document_type_is_refused_before_its_entities_are_read(expansion):
    head = f'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "{expansion}">]>'
    with pytest.raises(MalformedReply, match="document type"):
        run([head.encode() + page(blob("in/&b;")).partition(b"?>")[2]])


def test_a_reply_that_is_nested_endlessly_is_refused_immediately():
    with pytest.raises(MalformedReply, match="nested"):
        run([page("<Blob>" + "<Deep>" * 1_000_000)])


@pytest.mark.parametrize("key", ["hdi_isfolder", "Hdi_isfolder", "HDI_IsFolder"])
@pytest.mark.parametrize("value", ["true", "True", "TRUE"])
def test_the_metadata_of_a_directory_may_have_any_letter_case(key, value):
    body = page(blob("in/dir", size=0, metadata=f"<Metadata><a>1</a><{key}>{value}</{key}></Metadata>"))
    read = _parse_fast(body)
    assert read == _parse_xml(body)
    assert (read.rows, read.directories) == ([(b"in/dir", DATE.encode(), b"0x8DC1", b"0")], {b"in/dir"})


def test_metadata_may_have_the_name_of_any_element():
    keys = "".join(f"<{key}>x</{key}>" for key in ("Blob", "BlobPrefix", "Blobs", "Name", "NextMarker"))
    assert names(page(blob("in/a", metadata=f"<Metadata>{keys}</Metadata>"), blob("in/b"))) == ["in/a", "in/b"]


def run(bodies, status=200, folder=None):
    state = FolderState(folder or Folder.at(URL, "in"), Rules(), None)
    flow = poll_folder(state, ACCESS)
    requests = [next(flow)]
    try:
        for body in bodies:
            request = answer(flow, page_reply(body, DATE, status))
            requests.append(request)
    except StopIteration as stop:
        return requests, stop.value
    raise AssertionError("the poll went on")


def test_pages_are_read_to_the_end():
    first = page(blob("in/a"), tail="</Blobs><NextMarker>2!92!a&amp;b</NextMarker></EnumerationResults>")
    requests, detection = run([first, page(blob("in/b"))])

    assert [dict(request.query).get("marker") for request in requests] == [None, "2!92!a&b"]
    assert detection.counts.listed == 2


def test_a_repeated_marker_ends_the_poll():
    again = page(tail="</Blobs><NextMarker>m</NextMarker></EnumerationResults>")
    with pytest.raises(MalformedReply, match="twice"):
        run([again, again])


def test_a_refusal_has_the_services_message():
    body = b"<Error><Code>ContainerNotFound</Code><Message>It is not there.\nRequestId:1</Message></Error>"
    with pytest.raises(ServiceError, match="It is not there") as caught:
        run([body], status=404)
    assert (caught.value.status, caught.value.code) == (404, "ContainerNotFound")


@pytest.mark.parametrize("body", [b"", b"404 page not found", b"<html><body>Not found</body></html>"])
def test_a_404_without_a_code_is_not_the_end_of_the_folder(body):
    with pytest.raises(ServerFault, match="a proxy may have answered") as caught:
        run([body], status=404)
    assert not caught.value.permanent


def test_a_request_lists_one_level():
    request = list_request(Folder.at(URL, "/in/2026/"), ACCESS, "m")
    assert request.url == URL
    assert dict(request.query) == {
        "restype": "container",
        "comp": "list",
        "delimiter": "/",
        "maxresults": "5000",
        "prefix": "in/2026/",
        "marker": "m",
        "sig": "x",
    }
    assert dict(request.headers)["x-ms-version"] >= "2021-02-12"
    assert "prefix" not in dict(list_request(Folder.at(URL), ACCESS).query)
    assert dict(list_request(Folder.at(URL), ACCESS, metadata=True).query)["include"] == "metadata"
