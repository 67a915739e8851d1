"""The requests that a fault applies to; valid and invalid faults and quirks."""

from __future__ import annotations

from dataclasses import fields

import pytest

from aml_provider.emulator.faults import KINDS, Faults
from aml_provider.emulator.quirks import Quirks


class TestFaults:
    def test_a_fault_applies_to_a_number_of_requests(self):
        faults = Faults()
        faults.add("drop", method="POST", path="*/PipelineSubmit/*", times=2)
        assert faults.take("GET", "/a/PipelineSubmit/1") is None
        assert faults.take("POST", "/other") is None
        assert faults.take("POST", "/a/PipelineSubmit/1") is not None
        assert [fault["times"] for fault in faults.pending()] == [1]
        assert faults.take("POST", "/a/PipelineSubmit/2") is not None
        assert faults.take("POST", "/a/PipelineSubmit/3") is None
        assert faults.pending() == []

    @pytest.mark.parametrize(
        "pattern",
        [
            {"method": "P*"},
            {"method": "post"},
            {"path": "/a/*"},
            {"query": "*version=1*"},
            {"body": '*"key": "?1"*'},
            {"method": "PO?T", "path": "*b", "query": "*", "body": "{*}"},
        ],
    )
    def test_all_parts_of_the_pattern_must_match(self, pattern):
        faults = Faults()
        faults.add("drop", **pattern)
        other = ("GET", "/b/a", "version=2", '{"key": "k2"}')
        assert faults.take(*other) is None
        assert faults.take("POST", "/a/b", "x=0&version=1", '{"key": "k1"}') is not None

    def test_after_lets_the_first_requests_pass(self):
        faults = Faults()
        faults.add("drop", after=2, times=2)
        assert [faults.take("GET", "/") is not None for _ in range(6)] == [False, False, True, True, False, False]

    def test_a_request_that_one_fault_lets_pass_can_match_another(self):
        faults = Faults()
        faults.add("drop", after=1)
        faults.add("refuse")
        assert [fault.kind for fault in (faults.take("GET", "/"), faults.take("GET", "/"))] == ["refuse", "drop"]

    def test_no_kind_requires_details(self):
        faults = Faults()
        for kind in KINDS:
            faults.add(kind)
        assert [fault["kind"] for fault in faults.pending()] == list(KINDS)

    @pytest.mark.parametrize(
        ("values", "argument"),
        [
            ({}, "kind"),
            ({"kind": "explode"}, "kind"),
            ({"kind": ["drop"]}, "kind"),
            ({"kind": "drop", "when": "now"}, "when"),
            ({"kind": "drop", "id": 1}, "id"),
            ({"kind": "drop", "retry_after": 1}, "retry_after"),
            ({"kind": "drop", "method": 5}, "method"),
            ({"kind": "drop", "path": None}, "path"),
            ({"kind": "drop", "times": "2"}, "times"),
            ({"kind": "drop", "times": 0}, "times"),
            ({"kind": "drop", "times": True}, "times"),
            ({"kind": "drop", "after": -1}, "after"),
            ({"kind": "delay", "seconds": -1}, "seconds"),
            ({"kind": "delay", "seconds": float("nan")}, "seconds"),
            ({"kind": "status", "status": 99}, "status"),
            ({"kind": "status", "status": 700}, "status"),
            ({"kind": "status", "retry_after": "1\r\nSet-Cookie: a=b"}, "retry_after"),
            ({"kind": "status", "retry_after": -1}, "retry_after"),
            ({"kind": "status", "after_commit": 1}, "after_commit"),
            ({"kind": "status", "envelope": "snake"}, "envelope"),
            ({"kind": "redirect", "status": 200}, "status"),
            ({"kind": "redirect", "location": "/a\nb"}, "location"),
            ({"kind": "content_type", "content_type": ""}, "content_type"),
        ],
    )
    def test_the_error_names_the_argument(self, values, argument):
        faults = Faults()
        with pytest.raises(ValueError, match=f"^{argument}: "):
            faults.add(**values)
        assert faults.pending() == []


class TestQuirks:
    def test_parse(self):
        quirks = Quirks.parse(["history_lag=30s", "slow_cancel=1.5", "int_enums", "page_size=2"])
        assert quirks == Quirks(history_lag=30, slow_cancel=1.5, int_enums=True, page_size=2)

    def test_quirks_with_texts(self):
        assert Quirks.parse(["update_fires=always"]).update_fires == "always"
        assert Quirks.parse(["provisioning_fails=no bus"]).provisioning_fails == "no bus"
        assert Quirks.parse(["provisioning_fails"]).provisioning_fails

    @pytest.mark.parametrize(
        "text",
        [
            "nonsense",
            "int_enums=1",
            "history_lag",
            "history_lag=soon",
            "history_lag=-1s",
            "history_lag=inf",
            "page_size=0",
            "page_size=2.5",
            "disabled_status=200",
            "update_fires",
            "update_fires=maybe",
            "dates=roman",
        ],
    )
    def test_the_error_names_the_quirk(self, text):
        with pytest.raises(ValueError, match=f"quirk '?{text.partition('=')[0]}"):
            Quirks.parse([text])

    def test_two_forms_of_enumerations_exclude_each_other(self):
        with pytest.raises(ValueError, match="int_enums and digit_enums"):
            Quirks.parse(["int_enums", "digit_enums"])

    def test_the_docstring_describes_every_quirk(self):
        assert Quirks.__doc__ is not None
        described = [line.partition(":")[0].strip() for line in Quirks.__doc__.splitlines() if ": " in line]
        assert [field.name for field in fields(Quirks) if field.name not in described] == []
