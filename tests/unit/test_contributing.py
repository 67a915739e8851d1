"""CONTRIBUTING names files and names in them that are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "aml_provider"
TEXT = (ROOT / "CONTRIBUTING.md").read_text()
FILES = sorted({path for path in re.findall(r"`([\w./-]+\.(?:py|md|toml|yml))`", TEXT) if "NNNN" not in path})


def found(path):
    """A file, named from the root, the package or the workflows."""
    return [file for folder in (ROOT, PACKAGE, ROOT / ".github" / "workflows") if (file := folder / path).is_file()]


@pytest.mark.parametrize("path", FILES)
def test_a_file_that_is_named_is_there(path):
    assert found(path)


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("parsing/operators.py", ["check_run", "_check_request"]),
        ("worker/run_arguments.py", ["RunArguments", "check"]),
        ("client/specs/run.py", ["RunRequest", "of", "to_wire"]),
        ("durable/order.py", ["RunOrder", "fingerprint"]),
        ("client/specs/target.py", ["PipelineReference", "to_text"]),
        ("triggers/base.py", ["StoredTrigger", "check_times", "serialize", "event"]),
        ("tests/unit/triggers/test_base.py", ["REQUIRED"]),
        ("tests/unit/test_public_names.py", ["PUBLIC", "ARGUMENTS"]),
        ("tests/integration/arguments/test_rendered.py", ["NOT_TEXT_TOO"]),
    ],
)
def test_a_name_that_a_how_to_gives_is_in_its_file(path, names):
    (file,) = found(path)
    for name in names:
        assert re.search(rf"[`.]{name}\b", TEXT), name
        assert re.search(rf"(def|class) {name}\b|^{name} =", file.read_text(), re.MULTILINE), name


@pytest.mark.parametrize(
    "argument", ["continue_on_step_failure", "parent_run_id", "component_version", "cancel_on_kill"]
)
def test_an_argument_that_serves_as_an_example_is_in_the_files_of_its_row(argument):
    """Where the code has moved on, the row of the table has to follow."""
    rows = [line for line in TEXT.splitlines() if f"| `{argument}` |" in line]
    files = [found(path)[0] for row in rows for path in re.findall(r"`([\w/]+\.py)`", row)]
    # The emulator has the service's own names.
    own = [file for file in files if "emulator" not in file.parts]
    assert own
    assert [file.name for file in own if argument not in file.read_text()] == []
