"""The comments in pages become generated texts, and a page without comments stays as it is."""

from __future__ import annotations

import pytest
from website import examples, included
from website.markdown import code, plain, table
from website.texts import filled

from aml_provider.cli.definition import get_azureml_cli_commands
from aml_provider.get_provider_info import get_provider_info


@pytest.fixture
def page(tmp_path):
    (tmp_path / "docs/part").mkdir(parents=True)
    return tmp_path / "docs/part/page.md"


def test_a_page_without_comments_stays_as_it_is(page):
    text = "# Title\n\n<!-- rows: written by another command -->\n\n`<!-- site: no -->`\n"
    assert filled(text, page) == text


def test_pages_are_listed_once_in_the_order_of_the_patterns(page):
    for name in ("page", "b", "one-c", "one-a", "two"):
        (page.parent / f"{name}.md").touch()
    assert filled("Before.\n<!-- site: pages none* two one-* * -->\nAfter.", page) == (
        "Before.\n```{toctree}\n:titlesonly:\n:hidden:\n\ntwo\none-a\none-c\nb\n```\nAfter."
    )


def test_a_list_of_pages_with_a_title_is_visible(page):
    (page.parent / "how-to").mkdir()
    (page.parent / "how-to/a.md").touch()
    made = filled('<!-- site: pages "title=How to" how-to/* -->', page)
    assert ":caption: How to\n" in made
    assert ":hidden:" not in made


def test_a_list_without_pages_is_left_out(page):
    assert filled('Before.\n<!-- site: pages "title=How to" how-to/* -->\nAfter.', page) == "Before.\n\nAfter."


def test_what_is_for_readers_on_github_is_left_out(page):
    text = "<!-- site: options -->\nOnly on GitHub.\n<!-- /site -->\nEverywhere.\n<!-- site: options -->\nHere too.\n"
    made = filled(text, page)
    assert "Only on GitHub" not in made
    assert "Everywhere." in made
    assert "Here too." in made


def test_the_end_of_one_comment_does_not_swallow_another_one(page):
    made = filled("<!-- site: options -->\nKept.\n<!-- site: options -->\nLeft out.\n<!-- /site -->", page)
    assert "Kept." in made
    assert "Left out." not in made


def test_an_unknown_name_is_an_error(page):
    with pytest.raises(KeyError, match="pictures"):
        filled("<!-- site: pictures -->", page)


def test_the_links_of_an_included_file_lead_where_they_led(page):
    (page.parents[2] / "READ.md").write_text(
        "[a](docs/part/page.md) [b](docs/other/b.md#c) ![d](d.svg) [e](https://example.com/e) [f](#f)\n"
    )
    assert filled("<!-- site: include ../../READ.md -->", page) == (
        "[a](page.md) [b](../other/b.md#c) ![d](../../d.svg) [e](https://example.com/e) [f](#f)\n"
    )


def test_a_page_that_includes_a_file_is_found_by_the_file(page):
    page.write_text("<!-- site: include ../../READ.md -->\n# On GitHub\n<!-- /site -->\n")
    assert included.files(page.parents[1]) == {page.parents[2] / "READ.md": "part/page"}


def test_every_option_and_every_field_is_listed(page):
    info = get_provider_info()
    rows = filled("<!-- site: options -->", page).splitlines()[2:]
    assert [row.split("`")[1] for row in rows] == list(info["config"]["azureml"]["options"])
    rows = filled("<!-- site: connection-fields -->", page).splitlines()[2:]
    assert [row.split("`")[1] for row in rows] == list(info["connection-types"][0]["conn-fields"])


def commands_of(group, names=()):
    for command in group:
        if hasattr(command, "subcommands"):
            yield from commands_of(command.subcommands, (*names, command.name))
        else:
            yield " ".join((*names, command.name)), command


def test_every_command_has_a_section_with_all_its_arguments(page):
    text = filled("<!-- site: commands -->", page)
    common, *sections = text.split("\n## `")
    found = {section.partition("`")[0]: section for section in sections}
    (azureml,) = get_azureml_cli_commands()
    described = dict(commands_of(azureml.subcommands))
    assert sorted(found) == sorted(described)
    for name, command in described.items():
        assert f"python -m aml_provider {name} " in found[name].replace("\n", " ")
        for argument in command.args:
            names = (
                argument.flags
                if argument.flags[0].startswith("-")
                else [argument.kwargs.get("metavar") or argument.flags[0]]
            )
            assert [shown for shown in names if f"`{shown}" not in found[name] + common] == []


def test_every_example_has_a_section_under_its_anchor(page):
    text = filled("<!-- site: examples -->", page)
    assert examples.place(examples.FOLDER / "run_pipeline.py") == "run_pipelinepy"
    assert "run_pipeline.py" in [file.name for file in examples.files()]
    for file in examples.files():
        assert f"## `{file.name}`\n" in text
        assert f"```python\n{file.read_text()}```\n" in text
    assert "demo_" not in text


def test_the_hooks_methods_are_listed_by_subject_and_their_twins_are_not(page):
    text = filled("<!-- site: hook -->", page)
    assert "## Run records\n\nLogs, outputs and metrics of runs" in text
    for name in ("client", "async_client", "list_runs", "get_run_logs", "test_connection"):
        assert f".. automethod:: aml_provider.hooks.azure_ml.AzureMLHook.{name}\n" in text
    assert "AzureMLHook.async_list_runs" not in text
    assert text.count("AzureMLHook.list_runs\n") == 1


def test_objects_are_described_as_what_they_are(page):
    def made(words):
        return filled(f"<!-- site: objects {words} -->", page)

    operators = made("operators.pipeline")
    assert operators.count(".. autoclass:: aml_provider.operators.pipeline.") == 3
    assert ":members:" not in operators
    assert ".. autoexception:: aml_provider.client.errors.NotFound\n" in made("client.errors")
    assert ".. autofunction:: aml_provider.client.errors.is_gone\n" in made("client.errors")
    assert ".. autodata:: aml_provider.client.models.WeekDay\n" in made("client.models WeekDay")
    assert ":members:" in made("client.models Recurrence")
    with pytest.raises(AttributeError):
        made("client.models None_")


def test_a_modules_docstring_is_shown_without_its_names(page):
    assert filled("<!-- site: module client.errors -->", page) == (
        "```{eval-rst}\n.. automodule:: aml_provider.client.errors\n   :no-members:\n```\n"
    )


def test_text_is_never_read_as_markdown():
    assert plain("a | b <c> *d* `e`\n  [f]") == r"a \| b \<c\> \*d\* \`e\` \[f\]"
    assert code("v1|v2") == r"`v1\|v2`"
    assert table(["a", "b"], [["1", "2"]]) == "| a | b |\n| --- | --- |\n| 1 | 2 |\n"
