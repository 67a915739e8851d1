"""The files of an export: found again, and never written over what somebody else has written."""

from __future__ import annotations

import errno
import os
import stat
from datetime import UTC, datetime

import pytest

from aml_provider.cli.export.dag_files import DagFolder, FileChanged, create, digest_of, key_of, replace
from aml_provider.cli.export.dag_text import with_start

KEY, OTHER = key_of("workspace", "v1", "1"), key_of("workspace", "v1", "2")
TEXT = "import os\n"


@pytest.fixture
def written(tmp_path):
    """A file that an export has written."""
    path = tmp_path / "azureml_x.py"
    create(path, KEY, TEXT)
    return path


def test_a_file_is_found_by_its_schedule(tmp_path, written):
    file = DagFolder(tmp_path).find(KEY)
    assert (file.path, file.text, file.is_edited, file.dag_id) == (written, TEXT, False, "azureml_x")
    assert DagFolder(tmp_path).find(OTHER) is None


def test_a_file_that_was_renamed_is_found_too(tmp_path, written):
    written.rename(tmp_path / "mine.py")
    assert DagFolder(tmp_path).find(KEY).dag_id == "mine"
    create(tmp_path / "other.py", OTHER, 'with DAG(\n    dag_id="azureml_y",\n):\n')
    assert DagFolder(tmp_path).find(OTHER).dag_id == "azureml_y"


@pytest.mark.parametrize("change", [lambda text: f"{text}\n", lambda text: text.replace("os", "sys")])
def test_an_edited_file_is_recognised(tmp_path, written, change):
    written.write_text(change(written.read_text()))
    assert DagFolder(tmp_path).find(KEY).is_edited


def test_other_ends_of_lines_are_not_an_edit(tmp_path, written):
    written.write_bytes(written.read_bytes().replace(b"\n", b"\r\n"))
    assert not DagFolder(tmp_path).find(KEY).is_edited


@pytest.mark.parametrize("content", [b"", b"import os\n", b"\xff\xfe\x00", b"# Exported by airflow-provider-azureml\n"])
def test_the_files_of_others_are_not_found(tmp_path, content):
    (tmp_path / "azureml_x.py").write_bytes(content)
    folder = DagFolder(tmp_path)
    assert folder.find(KEY) is None
    assert folder.new_path("x", KEY).name == f"azureml_x_{KEY[:8]}.py"


def test_a_file_is_never_created_over_another_one(written):
    before = written.read_bytes()
    with pytest.raises(FileChanged, match="exists by now"):
        create(written, OTHER, "x = 1\n")
    assert written.read_bytes() == before


@pytest.fixture
def no_links(monkeypatch):
    """A file system without links, such as an SMB share."""

    def refuse(*_):
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr(os, "link", refuse)


@pytest.mark.usefixtures("no_links")
def test_a_file_is_written_without_links_too(tmp_path):
    path = tmp_path / "azureml_x.py"
    create(path, KEY, TEXT)
    file = DagFolder(tmp_path).find(KEY)
    assert (file.text, file.is_edited) == (TEXT, False)
    with pytest.raises(FileChanged, match="exists by now"):
        create(path, OTHER, "x = 1\n")
    assert DagFolder(tmp_path).find(KEY) == file
    assert [entry.name for entry in tmp_path.iterdir()] == ["azureml_x.py"]


def test_the_handover_is_not_an_edit():
    waiting = "    schedule=None,  # TIMES after `schedules export --disable`\n"
    text = f"with DAG(\n{waiting}    start_date=datetime(2026, 1, 1, tzinfo=UTC),\n):\n"
    started = with_start(text, datetime(2026, 11, 30, 7, tzinfo=UTC))
    assert "schedule=TIMES" in started
    assert digest_of(started) == digest_of(text) != digest_of(started.replace("DAG", "dag"))


def test_a_link_is_not_followed(tmp_path):
    target = tmp_path / "precious.txt"
    target.write_text("mine")
    (tmp_path / "azureml_x.py").symlink_to(target)
    with pytest.raises(FileChanged):
        create(tmp_path / "azureml_x.py", KEY, TEXT)
    assert target.read_text() == "mine"


def test_a_file_that_was_changed_at_the_same_moment_is_not_replaced(tmp_path, written):
    file = DagFolder(tmp_path).find(KEY)
    written.write_text("mine")
    with pytest.raises(FileChanged, match="at the same moment"):
        replace(file, "x = 1\n")
    assert written.read_text() == "mine"


def test_a_replaced_file_is_complete_and_keeps_its_mode(tmp_path, written):
    written.chmod(0o640)
    replace(DagFolder(tmp_path).find(KEY), "x = 1\n")
    file = DagFolder(tmp_path).find(KEY)
    assert (file.text, file.is_edited) == ("x = 1\n", False)
    assert stat.S_IMODE(written.stat().st_mode) == 0o640
    assert [path.name for path in tmp_path.iterdir()] == ["azureml_x.py"]


def test_an_edited_file_that_is_replaced_stays_an_edited_one(tmp_path, written):
    written.write_text(written.read_text() + "# mine\n")
    replace(DagFolder(tmp_path).find(KEY), "import os\n# mine, too\n")
    file = DagFolder(tmp_path).find(KEY)
    assert (file.text, file.is_edited) == ("import os\n# mine, too\n", True)


def test_a_new_file_can_be_read_by_others(written):
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE(written.stat().st_mode) == 0o666 & ~mask


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("Score every morning", "azureml_score_every_morning"),
        ('"); import os', "azureml_import_os"),
        ("../../etc/passwd", "azureml_etc_passwd"),
        ("\n\x00", "azureml_schedule"),
        ("漢字", "azureml_schedule"),
        ("x" * 300, "azureml_" + "x" * 100),
    ],
)
def test_only_letters_and_digits_of_a_name_get_into_a_path(tmp_path, name, stem):
    path = DagFolder(tmp_path).new_path(name, KEY)
    assert (path.parent, path.name) == (tmp_path, f"{stem}.py")


def test_schedules_with_the_same_name_have_files_of_their_own(tmp_path):
    (tmp_path / "AzureML_X.py").write_text("mine")
    folder = DagFolder(tmp_path)
    names = [folder.new_path("x", KEY).name, folder.new_path("X", OTHER).name, folder.new_path("x!", KEY).name]
    assert names == [f"azureml_x_{KEY[:8]}.py", f"azureml_x_{OTHER[:8]}.py", f"azureml_x_{KEY}_0.py"]


def test_a_key_is_that_of_one_schedule_of_one_workspace():
    keys = [key_of("w", "v1", "1"), key_of("W", "v1", "1"), key_of("w", "v2", "1"), key_of("v", "v1", "1")]
    assert keys[0] == keys[1]
    assert len(set(keys)) == 3
