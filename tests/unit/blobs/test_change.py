"""The changes that polls report: the rules in their plainest form against the real thing, listing after listing."""

from __future__ import annotations

import copy
import fnmatch
import re
from array import array
from hashlib import blake2b
from zlib import crc32

from hypothesis import given, settings
from hypothesis import strategies as st
from support.drivers.listed_folder import FOLDER, Container

from aml_provider.blobs.cursor import Cursor, Difference
from aml_provider.blobs.folder_state import FolderState
from aml_provider.blobs.rules import Rules


class Model:
    """The rules in their plainest form: of each name, the ETags that were decided, the latest one at the end."""

    def __init__(self, rules):
        self.rules = rules
        self.decided = None

    def poll(self, container):
        """Return what is to be reported and what is decided then."""
        old, rules = self.decided, self.rules
        if old is None and not rules.report_first:
            return [], {name: [blob[0]] for name, blob in container.blobs.items()}
        old = old or {}
        ready, after = [], {name: [*etags] for name, etags in old.items()}

        def decide(name, etag):
            after.setdefault(name, []).append(etag)

        for name, (etag, modified, size) in container.blobs.items():
            if etag in old.get(name, ()):
                continue
            if name == "" or (size == 0 and (rules.ignore_empty or name in container.directories)):
                continue
            if RECORD.fullmatch(name):
                continue
            if rules.settle and container.now - modified < rules.settle:
                continue
            if rules.patterns and not any(fnmatch.fnmatchcase(name, glob) for glob in rules.patterns):
                decide(name, etag)
            else:
                ready.append((modified, f"in/{name}", name, etag))
        taken = sorted(ready)[: rules.max_changes]
        for _, _, name, etag in taken:
            decide(name, etag)
        changes = [
            (name, "modified" if name in old else "added") for _, _, name, _ in sorted(taken, key=lambda t: t[1])
        ]
        return changes, after


def entries(decided):
    """What the cursor holds of these ETags by name: 64 bits of the version, 32 of the name."""
    return sorted(
        (array("Q", blake2b(f"in/{name}\0{etag}".encode(), digest_size=8).digest())[0], crc32(f"in/{name}".encode()))
        for name, etags in decided.items()
        for etag in etags
    )


RECORD = re.compile("azureml_cursor_.*0123456789abcdef.json")
OURS = "azureml_cursor_my_dag_0123456789abcdef.json"
NAMES = st.sampled_from(["a.csv", "b.csv", "c.txt", "d.csv", "e.txt", "f.csv", "sub", "sub.csv", "", "20260101", OURS])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), NAMES, st.sampled_from([0, 1, 1, 7])),
        st.tuples(st.just("delete"), NAMES),
        st.tuples(st.just("restore"), NAMES),
        st.tuples(st.just("deep"), st.sampled_from(["sub", "z", "20260101"])),
        st.tuples(st.just("directory"), st.sampled_from(["sub", "d.csv"])),
        st.tuples(st.just("wait"), st.integers(1, 4)),
        st.tuples(st.just("poll"), st.sampled_from(["hand over", "hand over", "crash before", "crash after", "undo"])),
    ),
    min_size=8,
    max_size=60,
)


@settings(max_examples=400, deadline=None)
@given(
    steps=STEPS,
    page_size=st.integers(1, 4),
    rules=st.builds(
        Rules.of,
        settle=st.sampled_from([0, 0, 2]),
        ignore_empty=st.booleans(),
        pattern=st.sampled_from([None, "*.csv", ["*.txt", "sub*"]]),
        max_changes=st.sampled_from([1, 2, 1000]),
        on_first_poll=st.sampled_from(["remember", "report"]),
    ),
    was_empty=st.booleans(),
)
def test_every_poll_reports_what_the_rules_say(steps, page_size, rules, was_empty):
    container, model = Container(page_size), Model(rules)
    # What a new process finds: the cursor's text and the model's state with it.
    stored = (Cursor().encode(), {}) if was_empty else (None, None)
    state = FolderState(FOLDER, rules, Cursor() if was_empty else None)
    model.decided = copy.deepcopy(stored[1])
    handed_over, bin_ = [], {}
    for step in [*steps, ("wait", 9), *[("poll", "hand over")] * 9]:
        if step[0] == "write":
            container.write(step[1], step[2])
        elif step[0] == "delete":
            bin_[step[1]] = container.blobs.pop(step[1], None) or bin_.get(step[1])
        elif step[0] == "restore":
            if bin_.get(step[1]) is not None:
                container.blobs[step[1]] = bin_[step[1]]
        elif step[0] == "deep":
            container.deep ^= {step[1]}
        elif step[0] == "directory":
            container.directories ^= {step[1]}
        elif step[0] == "wait":
            container.now += step[1]
        else:
            detection = container.poll(state)
            expected, after = model.poll(container)
            assert [(change["name"], change["change"]) for change in detection.changes] == expected
            assert sorted(detection.cursor.entries()) == entries(after)
            counts = detection.counts
            assert counts.listed == len(container.blobs)
            assert counts.folders == len(container.deep)
            assert (counts.added + counts.modified) == len(expected)
            parts = (counts.unchanged, counts.remembered, counts.filtered, counts.unsettled, counts.empty, counts.held)
            aside = counts.markers + counts.records
            assert counts.listed == counts.added + counts.modified + aside + sum(parts)
            if step[1] == "crash before":
                state = FolderState(FOLDER, rules, Cursor.decode(stored[0]) if stored[0] else None)
                model.decided = copy.deepcopy(stored[1])
                continue
            before = model.decided
            state.accept(detection)
            model.decided = after
            if detection.must_save:
                stored = (detection.cursor.encode(), copy.deepcopy(after))
            if step[1] == "undo" and expected:
                undo = Difference.decode(detection.undo.encode())
                cursor = Cursor.decode(stored[0]).apply(undo)
                for name, _ in expected:
                    after.pop(name)
                    if name in (before or {}):
                        after[name] = before[name]
                model.decided = copy.deepcopy(after)
                stored = (cursor.encode(), copy.deepcopy(after))
                state = FolderState(FOLDER, rules, cursor)
            else:
                handed_over += [(change["path"], change["etag"]) for change in detection.changes]
            if step[1] == "crash after":
                state = FolderState(FOLDER, rules, Cursor.decode(stored[0]) if stored[0] else None)
                model.decided = copy.deepcopy(stored[1])
    assert len(handed_over) == len(set(handed_over)), "a version was handed over twice"
    assert container.poll(state).changes == []
