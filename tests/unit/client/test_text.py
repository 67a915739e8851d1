"""What others wrote, as it may be shown."""

from __future__ import annotations

import base64
import html
import json
import time
import urllib.parse

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aml_provider.client.errors import AzureMLError, Conflict, InvalidArgument
from aml_provider.client.text import LONGEST, masked, one_line, printable, quoted

SIGNATURE = "k3/Jx+9Qm2Zr7Wc1Tn5Ys8Vd0Bg4Hf6LpAeUiOo=="
OTHER = "k3/Jx+9Qm/2Zr7W+c1Tn5/Ys8Vd+0Bg4H/f6L="
TOKEN = "eyJ0eXAiOiJKV1QifQ.eyJhdWQiOiJodHRwczovL20ifQ.c2ln-bmF0_dXJlLXBsYW50ZWQ"
EVIL = [
    "\x1b[31m",
    "\x1b]0;title\x07",
    "\x9b2J",
    "\r",
    "\n",
    "\x00",
    "\x08",
    "\u202e",
    "\u2066",
    "\u2028",
    "\u200b",
    "\x7f",
]
FORMS = {
    "as it is": lambda s: s,
    "for a URL": lambda s: urllib.parse.quote(s, safe=""),
    "for a URL, in small letters": lambda s: urllib.parse.quote(s, safe="").lower(),
    "for a URL, twice": lambda s: urllib.parse.quote(urllib.parse.quote(s, safe=""), safe=""),
    "for a URL, each letter": lambda s: "".join(f"%{ord(letter):02x}" for letter in s),
    "with blanks for plus signs": lambda s: s.replace("+", " "),
    "as base64 for URLs": lambda s: s.replace("+", "-").replace("/", "_"),
    "in JSON for pages": lambda s: s.replace("/", r"\u002f").replace("+", r"\u002B"),
    "in JSON in JSON": lambda s: json.dumps(json.dumps(s.replace("/", r"\/"))),
    "in a bytes literal": lambda s: s.replace("/", r"\x2f").replace("+", r"\x2b"),
    "in HTML, by numbers": lambda s: s.replace("/", "&#x2F;").replace("+", "&#43;"),
    "in UTF-16": "\0".join,
    "in small letters": str.lower,
    "in capitals": str.upper,
    "in JSON": lambda s: json.dumps({"x": s}),
    "in JSON with escaped slashes": lambda s: s.replace("/", "\\/"),
    "in HTML": html.escape,
    "in base64": lambda s: base64.b64encode(s.encode()).decode(),
    "in base64 within something": lambda s: base64.b64encode(f"a={s};b".encode()).decode(),
    "in base64 for URLs": lambda s: base64.urlsafe_b64encode(f"ab={s}".encode()).decode(),
    "in hexadecimal": lambda s: s.encode().hex(),
    "cut off": lambda s: s[:25],
    "its end": lambda s: s[-25:],
    "over two lines": lambda s: f"{s[:20]}\n  {s[20:]}",
    "in two fields": lambda s: f"a={s[:20]}; b={s[20:]}",
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("secret", [SIGNATURE, OTHER, TOKEN, "plain-static-token-1234"])
@pytest.mark.parametrize("words", ["{}", "I was sent {} by you", "<<<{}>>>", "x{}y"])
def test_what_was_sent_is_masked_however_it_is_echoed(form, secret, words):
    echo = FORMS[form](secret)
    shown = masked(words.format(echo), [secret])
    assert "***" in shown
    for start in range(len(echo) - 16):
        assert echo[start : start + 16] not in shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://h/c?sv=1&sig=abc%2F&se=2", "https://h/c?sv=1&sig=***&se=2"),
        ("sig%3Dabc", "sig%3D***"),
        ("token=abc", "token=***"),
        ("access_token=abc, next", "access_token=***, next"),
        ("AccountKey=abc==;EndpointSuffix=x", "AccountKey=***;EndpointSuffix=x"),
        ('{"client_secret": "abc", "a": "b"}', '{"client_secret": "***", "a": "b"}'),
        (r"{\"password\":\"abc\"}", r"{\"password\":\"***\"}"),
        ("Authorization: SharedKey account:abc=", "Authorization: SharedKey ***"),
        (f"it was {TOKEN[:30]}", "it was ***"),
        ("The request has no valid bearer token.", "The request has no valid bearer token."),
        ("The pipeline 'monkey' has no parameter design=3", "The pipeline 'monkey' has no parameter design=3"),
    ],
)
def test_what_is_called_a_secret_is_masked(text, shown):
    assert masked(text) == shown


@pytest.mark.parametrize(
    "piece", ["a-", "a.", "a", "key", "eyJ.", "eyJ", "%25", "&amp;", "\\", "&", "bearer ", "sig.", '"', 'token"', "\0"]
)
def test_no_text_takes_long_to_be_masked(piece):
    """An event loop stands still meanwhile. CPU time is measured: patterns that try each letter twice take minutes."""
    begun = time.process_time()
    masked(piece * (40_000 // len(piece)), [SIGNATURE, TOKEN])
    assert time.process_time() - begun < 10


def test_a_word_is_no_secret():
    assert masked("any company", ["any"]) == "any company"


@pytest.mark.parametrize(
    "secret", ["İab/İcd+İefİghİ", "пароль-и-ключ", "\ud800-half-a-letter", "!!!!@@@@####", "a&amp;b<c>d"]
)
@pytest.mark.parametrize("form", [str, str.lower])
def test_a_secret_of_any_letters_is_masked(secret, form):
    shown = masked(f"got {form(secret)}.", [secret])
    assert "***" in shown
    assert form(secret)[1:] not in shown


ANY = st.text(st.characters())


@given(ANY, st.lists(st.text(st.characters(), max_size=60), max_size=3))
def test_masking_never_fails_and_leaves_no_secret_in_clear(text, secrets):
    for secret in secrets:
        shown = masked(f"{text}{secret}", secrets)
        assert len(secret) < 8 or secret not in shown


@pytest.mark.parametrize("evil", EVIL)
def test_nothing_steers_a_terminal(evil):
    shown = one_line(f"a{evil}b")
    assert shown.isprintable()
    assert shown[0] + shown[-1] == "ab"


@given(st.text())
def test_one_line_is_one_bounded_printable_line(text):
    shown = one_line(text, 50)
    assert shown.isprintable()
    assert len(shown) <= 50 * 10 + 1


def test_letters_of_all_languages_stay():
    assert printable("naïve 한국어 日本語 שלום") == "naïve 한국어 日本語 שלום"


def test_a_line_of_a_log_passes_for_none_of_ours():
    log = "one\r\n[2026-01-01] {task.py:1} INFO - Run finished\r\ttwo\x1b[2K"
    lines = quoted(log).split("\n")
    assert all(line.startswith("  | ") and line.isprintable() for line in lines)
    assert lines[1] == "  | [2026-01-01] {task.py:1} INFO - Run finished"


@pytest.mark.parametrize("evil", EVIL)
def test_no_error_steers_a_terminal(evil):
    errors = [
        Conflict(f"a{evil}", status=409, code=evil, message=evil, request_ids=[f"x={evil}"], hint="do"),
        InvalidArgument("argument", f"is {evil}"),
        AzureMLError(f"said {evil}"),
    ]
    for error in errors:
        assert all(letter.isprintable() or letter == "\n" for letter in str(error))
    assert "\n" not in str(errors[0])


def test_an_error_is_bounded():
    error = Conflict("x" * 10**6, status=409, code="y" * 10**6, message="z" * 10**6, request_ids=["i" * 10**6])
    assert len(str(error)) < 3 * LONGEST
