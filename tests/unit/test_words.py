"""The check of the glossary's words: it finds what it should, where users read it, and nothing else."""

from __future__ import annotations

import textwrap

import pytest
import words


def found(text):
    return [finding.word for finding in words.findings_in(words.Text(text, 1))]


def found_in_code(source):
    return [
        (finding.line, finding.word)
        for text in words.texts_of_code(textwrap.dedent(source).strip())
        for finding in words.findings_in(text)
    ]


@pytest.mark.parametrize(
    ("sentence", "banned"),
    [
        ("The next look is due in a minute.", ["look"]),
        ("The sensor looks once and looked before.", ["looks", "looked"]),
        ("It is told of the end.", ["told"]),
        ("The schedule cannot be come to.", ["come to"]),
        ("Whoever waits is told.", ["told", "Whoever"]),
        ("What was handed on is kept.", ["handed on"]),
        ("It hands the batch on.", ["hands the batch on"]),
        ("It may see to runs of before. They are seen to.", ["see to", "of before", "seen to"]),
        ("The keeper keeps a native schedule.", ["keeper", "keeps a native schedule"]),
        ("A mark ends the run.", ["mark"]),
        ("The task was marked by a person.", ["marked"]),
        ("The record is damaged.", ["record"]),
        ("Damaged records end in an error.", ["records"]),
        ("A record of the submission, and its submission record.", ["record"]),
        ("The next change settles it.", ["settles"]),
        ("The schedule cannot settle.", ["cannot settle"]),
        ("It begins anew.", ["anew"]),
        ("It fails at once.", ["at once"]),
        ("It is stored all the same.", ["all the same"]),
        ("The event is none of ours.", ["is none", "none of ours"]),
        ("An extra that is no JSON.", ["is no"]),
        ("At most so many bytes.", ["so many"]),
        ("Within the grace time.", ["grace"]),
        ("Patience ran out.", ["Patience"]),
        ("The run beside it shall stay.", ["beside", "shall"]),
        ("A retry cannot mend it.", ["mend"]),
        ("From 3.3 on the API server hears of it.", ["From 3.3 on"]),
        ("Not below Airflow 3.3.", ["below Airflow 3.3"]),
        ("How tokens are got.", ["are got"]),
        ("The run goes on, and others may go on.", ["goes on", "go on"]),
        ("It was going on; it went on, and has gone on.", ["going on", "gone on", "went on"]),
        ("The task waits on; waiting on, polling on.", ["polling on", "waiting on", "waits on"]),
        ("The API server is away, and the services were away.", ["is away", "were away"]),
        ("What is left over.", ["left over"]),
        ("It waits\nfor the end at\nonce.", ["at once"]),
    ],
)
def test_a_banned_word_is_found(sentence, banned):
    assert sorted(found(sentence)) == sorted(banned)


@pytest.mark.parametrize(
    "sentence",
    [
        "The key is looked up, and a look-up takes a second. It looks the run up.",
        "Three look-ups. The task looks exactly as if it had failed. It looks like another line, or broken.",
        "Nobody can tell whether it arrived. The error tells the reasons apart; two versions are told apart.",
        "The listing does not come to an end.",
        "The function is handed one argument. It depends on the service.",
        "It keeps the cursor. The owner manages the schedule.",
        "Mark the task as failed. It was marked as success.",
        "A person marks a task or its DAG run as failed. The token ends in a question mark.",
        "A directory marker is not a blob. A benchmark; a bookmark.",
        "The submission record is read. Then the record moves.",
        "The watcher's record is read.",
        "A stored record is damaged. Send a TLS record.",
        "They record the run id; it is recorded.",
        "`settle=30`: seconds without a write. The argument settle is a duration.",
        "Both run at once; 2 at once; all at once.",
        "The owner was seen to succeed. The answer was no.",
        "There is no such run. There is none. It is no longer active, and is no more than a retry.",
        "None of its runs ended. The value is None.",
        "So many runs ended that nobody counts them.",
        "A grace period. A graceful end. Slack is a product.",
        "The address; a password; a keyword.",
        "CPU below 3.3 ms, from 3.3 to 4.",
        "Besides, the run is next to it.",
        "It logs what is going on. The tag goes on the run.",
        "It waits for the run and continues to poll. The files are away from the folder; move them away.",
        "Time is left. It took over the run.",
        "```python\nlook(at_once, whoever)\n```",
        "Call `look()` or ``tell`` (see [this](docs/look.md) and https://example.com/look/told).",
    ],
)
def test_a_good_sentence_passes(sentence):
    assert found(sentence) == []


def test_messages_help_and_public_docstrings_are_read():
    assert found_in_code('''
        """What the module is."""

        HELP = "The next look comes later"

        class Public:
            """Begins anew."""

            def run(self):
                """Return it.

                Raises:
                    ValueError: It is none.
                """
                log.info("The run %s is told", 1)
                raise ValueError(f"It fails {when} "
                                 f"at once in {place}")

        parser.add_argument("--x", help="at most so many")
    ''') == [
        (1, "What ..."),
        (3, "look"),
        (6, "anew"),
        (12, "is none"),
        (14, "told"),
        (16, "at once"),
        (18, "so many"),
    ]


def test_comments_names_keys_and_private_docstrings_are_not_read():
    assert (
        found_in_code('''
            # What is told at once
            look = {"look": 1, "mark": "record"}

            def _look():
                """What is told."""

            class _Watch:
                def tell(self):
                    """What is told."""
        ''')
        == []
    )


def test_names_that_a_docstring_describes_are_not_read():
    assert (
        found_in_code('''
            def save(record, settled):
                """Save it.

                Args:
                    record: The submission record.
                    settled: The names
                        of all.
                """
        ''')
        == []
    )


def test_which_record_may_be_said_once_for_a_class():
    assert (
        found_in_code('''
            class Store:
                """Stores the submission record."""

                def load(self):
                    """Load the record."""
        ''')
        == []
    )
    assert found_in_code('''
        class Store:
            """Stores the submission record."""

            def load(self):
                raise ValueError("The record is damaged")
    ''') == [(5, "record")]


def test_which_record_is_said_again_in_each_section_of_a_document():
    document = "# Title\nThe record.\n\n## One\nThe watcher record. The record.\n\n## Two\nThe record.\n"
    places = [finding.line for text in words.texts_of_document(document) for finding in words.findings_in(text)]
    assert places == [2, 8]


def test_of_a_changelog_only_the_unreleased_section_is_read():
    changelog = "# Changelog\nAt once.\n\n## [Unreleased]\n- At once.\n\n## [1.0.0]\n- At once.\n"
    lines = [
        finding.line
        for text in words.texts_of_document(changelog, is_changelog=True)
        for finding in words.findings_in(text)
    ]
    assert lines == [5]


def test_of_a_makefile_the_help_is_read():
    makefile = "# at once\nrun: ## Run at once\n\t@echo at once ## no\n## at once\n"
    assert [finding.line for text in words.texts_of_makefile(makefile) for finding in words.findings_in(text)] == [2]


def test_findings_name_file_line_word_and_what_to_write(tmp_path):
    for name, content in {
        "README.md": "# It\n\nIt ends at\nonce.\n",
        "docs/page.md": "Begin anew.\n",
        "docs/decisions/0001-old.md": "Begin anew.\n",
        "aml_provider/client/x.py": '"""Begin anew."""\n',
        "tests/test_x.py": '"""Begin anew."""\n',
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    assert list(words.findings_under(tmp_path)) == [
        'README.md:3: "at once" -> immediately',
        'docs/page.md:1: "anew" -> again',
        'aml_provider/client/x.py:1: "anew" -> again',
    ]
