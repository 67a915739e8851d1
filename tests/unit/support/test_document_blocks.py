"""The rules for examples in documents: what is read as a block, and which pages are refused."""

from __future__ import annotations

import ast
import re
import textwrap

import pytest
from support.documents.blocks import (
    Block,
    PageError,
    check_content,
    imported,
    kind_of,
    only_defines,
    read_page,
    reason_not_to_run,
)

FENCE = "`" * 3


@pytest.fixture
def read(tmp_path):
    """Read a page, in which ~ stands for a fence."""

    def read(text):
        page = tmp_path / "page.md"
        page.write_text(textwrap.dedent(text).replace("~", FENCE))
        return read_page(page)

    return read


def test_blocks_have_the_lines_of_the_page_and_the_comments_before_them(read):
    page = """\
    # Title

    <!-- file: dags/a.py -->
    ~python
    import a
    ~

    - a list

      ~console
      $ ls
      a
      ~

    <!-- test
    assert a
    -->
    """
    first, second, third = read(page)
    assert first == Block(5, "python", "import a\n", {"file": "dags/a.py"})
    assert second == Block(11, "console", "$ ls\na\n", {})
    assert third == Block(16, "test", "assert a\n", {})


def test_blocks_inside_of_directives_are_blocks(read):
    page = """\
    ~~~~{note}
    ~python
    1
    ~
    ~~~~

    ~{toctree}
    page
    ~

    ~json
    {}
    ~
    """.replace("~~~~{", "`" * 4 + "{").replace("~~~~", "`" * 4)
    assert [block.language for block in read(page)] == ["python", "json"]


def test_a_block_in_a_comment_is_not_one(read):
    assert read("<!--\n~python\n1\n~\n-->\n") == []


@pytest.mark.parametrize(
    ("page", "problem"),
    [
        ("~\ntext\n~\n", "no language"),
        ("~bash\nls\n~\n", "'bash' is not one of"),
        ("~{code-block} python\n1\n~\n", "begins with its language"),
        ("~python\n1\n", "does not end"),
        ("~text\n$ ls\n~\n", "commands are in a console block"),
        ("~text\nimport os\n~\n", "Python is in a python block"),
        ("<!-- file: a.py -->\nText.\n", "comes a block, not text"),
        ("<!-- exit: 1 -->\n~console\n$ ls\n~\n", "is not one that the rules have"),
        ("<!-- tests\nassert 1\n-->\n", "is not one that the rules have"),
        ("<!-- exits: 1 -->\n~python\n1\n~\n", "has no ['exits']"),
        ("<!-- not run: sdk-v1 -->\n~console\n$ ls\n~\n", "has no ['not run']"),
    ],
)
def test_a_page_that_breaks_a_rule_is_refused(read, page, problem):
    with pytest.raises(PageError, match=re.escape(problem)):
        list(map(check_content, read(page)))


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("with DAG('a'):\n    AOperator(task_id='a')", "dag"),
        ("@dag(schedule=None)\ndef a(): ...", "dag"),
        ("AOperator(task_id='a')", "tasks"),
        ("ASensor.partial(task_id='a').expand(path=['a'])", "tasks"),
        ("import pytest", "tests"),
        ("def test_a(): ...", "tests"),
        ("from pytest import fixture\nDAG('a')", "tests"),
        ("hook.list_runs()", "snippet"),
    ],
)
def test_the_content_of_python_says_how_it_is_executed(code, kind):
    assert kind_of(ast.parse(code)) == kind


def test_reasons_not_to_run_a_block_are_a_closed_list_whose_conditions_are_checked():
    def reason(code, name):
        return reason_not_to_run(Block(1, "python", code, {"not run": name}))

    assert reason("from azureml.core import Workspace", "sdk-v1") == "sdk-v1"
    assert reason("import azure.ai.ml", "sdk-v2") == "sdk-v2"
    assert reason_not_to_run(Block(1, "python", "1")) is None
    for code, name in [
        ("from azureml.core import Workspace", "too-long"),
        ("import os", "sdk-v1"),
        ("import azureml_tools", "sdk-v1"),
        ("import azureml\nimport aml_provider.links", "sdk-v1"),
    ]:
        with pytest.raises(PageError):
            reason(code, name)


@pytest.mark.parametrize(
    ("language", "good", "bad"),
    [
        ("json", '{"a": 1}', "{a}"),
        ("yaml", "a: 1\n---\nb: 2", "a: [1"),
        ("ini", "[a]\nb = %(c)s", "b = 1"),
        ("toml", "a = 1", "a ="),
    ],
)
def test_data_has_to_be_valid(language, good, bad):
    check_content(Block(1, language, good))
    with pytest.raises(PageError, match=f"invalid {language}"):
        check_content(Block(1, language, bad))


def test_a_snippet_that_only_defines_something_is_found():
    assert only_defines("import os\n\ndef a(): ...\n\nclass B: ...") == {"a", "B"}
    assert only_defines("def a(): ...\na()") == set()
    assert only_defines("b = 1") == set()


def test_imported_names_are_those_at_the_top():
    assert imported("import os.path\nfrom a import b as c, d\ndef f():\n    import e") == {"os", "c", "d"}
