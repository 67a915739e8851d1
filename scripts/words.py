"""Find words that the glossary (CONTRIBUTING.md) bans in texts for users: documents, messages, public docstrings.

``python scripts/words.py`` prints each one with its place and its replacement, and fails if there is one. It ignores
comments, names, and code in documents.
"""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

PLACES = (
    "README.md",
    "CHANGELOG.md",
    "CODE_OF_CONDUCT.md",
    "SECURITY.md",
    "docs/[!d]*/**/*.md",  # not the decisions, which quote what was
    "docs/*.md",
    "Makefile",
    "aml_provider/**/*.py",
    "example_dags/*.py",
    "scripts/**/*.py",
)


class Word(NamedTuple):
    """A banned word.

    The patterns ignore case; a blank matches any white space.
    """

    #: The pattern of the word.
    word: str
    #: Its replacements.
    use: str
    #: The pattern of phrases in which the word is allowed.
    but: str = ""
    #: The pattern of phrases after which the word is allowed: in the same message, the same section of a document, the
    #: same docstring, or in one inside the class or module whose docstring has such a phrase.
    after: str = ""


_WHICH = "asset|cursor|history|host|intent|run|schedule|sensor|stored|submission|TLS|watcher|workspace"

GLOSSARY = (
    Word(
        "looks?|looked|looking",
        "poll, check, read, search for",
        but=r"look(?:s|ed|ing)?(?: (?:\w+ ){1,3}|[ -])ups?"
        "|look(?:s|ed|ing)? (?:exactly )?(?:like|as if|alike|the same|different|broken|right|wrong)",
    ),
    Word(
        "told|tells?|telling",
        "log, report, notify",
        but=r"(?:told|tells?|telling) (?:\w+ ){0,3}apart|(?:can|could|cannot) tell (?:whether|which|what|how)",
    ),
    Word("comes? to|came to|coming to", "obtain, reach, find", but="comes? to an end|came to an end"),
    Word("whoever|who waits|who asks", "the caller, the waiter, another task"),
    Word(r"hand(?:s|ed|ing)? (?:(?:it|them|this|that|each|(?:the|its|an?) \w+) )?on", "deliver, pass on"),
    Word(r"see to|sees to|seen to(?! \w)|seeing to|saw to", "handle, cancel"),
    Word("keepers?", "owner"),
    Word("(?:keeps?|kept|keeping) (?:(?:an?|the|its|this|that|each|every|your|native) )*schedules?", "own, manage"),
    Word(
        "marks?|marked|marking",
        "cancel tag (ours on a run), manual state change (a person's), owner properties (on a schedule)",
        # "Mark as failed" is Airflow's own term.
        but=r"(?:to mark|marks? (?:an?|the|it|them|one|this|each)|marked|marking) (?:[\w'-]+ ){0,6}as"
        "|(?:question|quotation|high-water) marks?",
    ),
    Word(
        "records?",
        "submission record, watcher record, run, ... (say which)",
        # The verb.
        but=r"(?:to|it|not|and|that) records?|records? (?:the|its|an?|what|which|that|each|every|no)",
        after=rf"(?:{_WHICH})(?:'s)? records?",
    ),
    Word(
        "settles|settled|settling|unsettled|(?:to|will|can|cannot|must|may|not|until they|until it) settle",
        "reconcile, set status, wait",
        # The headings of the page of errors are the words of class names.
        but="(?:Submission|Provisioning) unsettled",
    ),
    Word("anew", "again"),
    Word("of before", "previous, earlier"),
    # Allowed where it means "at the same time".
    Word("at once", "immediately", but=r"(?:all|both|two|several|many|everything|more|\d|runs|one) (?:\w+ )?at once"),
    Word("all the same", "anyway", but="(?:is|are|was|were) all the same"),
    Word("by and by", "later"),
    Word("(?:is|are|was|were) (?-i:none)", "is not a ...", but="there (?:is|are|was|were) none"),
    Word(
        r"(?:is|are|was|were) no(?= \w)",
        "is not a ...",
        but="there (?:is|are|was|were) no|(?:is|are|was|were) no (?:longer|more|less|fewer|later|earlier|different)",
    ),
    Word("none of ours?", "not one of ours"),
    Word("so many", "N", but=r"so many (?:\w+ ){0,3}that"),
    Word("patience|grace|(?-i:slack)|backstops?", "timeout (a duration), deadline (an instant)", but="grace periods?"),
    Word("worded|reworded", "written"),
    Word("spoilt|spoils?|spoiled", "corrupt"),
    Word("dress|dresses|dressed|dressing", "copy metadata"),
    Word("heirs?", "merged into"),
    Word("strikes?", "failures"),
    Word("parked", "far-future start"),
    Word("birth marks?", "created by"),
    Word("mend|mends|mended|mending", "fix"),
    Word("beside", "next to, besides, alongside"),
    Word("shall", "should, will"),
    Word(r"from (?:Airflow )?[23]\.\d+ on", "since 3.3"),
    Word(r"below (?:Airflow [23]\.\d+|3\.3)", "before 3.3", but=r"below 3\.3 (?:ms|s|times)"),
    Word(
        "goes on|go on|going on|went on|gone on",
        "continue, remain active",
        # Something happens, or is put on something.
        but=r"what(?:'s| is| was| else is)? (?:really )?going on|(?:goes?|going) on (?:an?|the|its|each|every)",
    ),
    Word("(?:waits?|waited|waiting) on", "wait for, continue to wait"),
    Word("(?:polled|polling) on", "continue to poll"),
    Word("(?:is|are|was|were) away", "is unreachable", but="(?:is|are|was|were) away from"),
    Word("left over|left-overs?|leftovers?", "remain"),
    Word("ledgers?", "submission store"),
    Word("watchlists?", "wait queue"),
    Word("sightings?", "status row"),
    Word("upkeep", "reconciler"),
    Word("(?:is|are|was|were|be|been|being) got", "is obtained"),
)


def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(rf"\b(?:{pattern})\b".replace(" ", r"\s+"), re.IGNORECASE)


_NOTHING = "(?!)"
_PATTERNS = [
    (word.use, _compiled(word.word), _compiled(word.but or _NOTHING), _compiled(word.after or _NOTHING))
    for word in GLOSSARY
]

# Code in documents and docstrings is not prose.
FENCE = re.compile(r"^( *)(```|~~~).*?^\1\2", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"``[^`]+``|`[^`\n]+`|\]\([^)]*\)|<https?:[^>]*>|https?:\S+")
# The name of an argument or attribute that a docstring describes.
NAME = re.compile(r"^ +\*{0,2}\w+:(?= )", re.MULTILINE)
SECTION = re.compile(r"^.+?(?=^## |\Z)", re.MULTILINE | re.DOTALL)
UNRELEASED = ("## Unreleased", "## [Unreleased]")
# A string with two consecutive words is prose; others are keys, paths or formats.
PROSE = re.compile(r"[A-Za-z]{2,}[,;:.]? [a-z]+")


class Text(NamedTuple):
    """A piece of prose and its place in a file."""

    words: str
    line: int
    is_docstring: bool = False
    #: The docstrings of the module and the classes around a docstring.
    around: str = ""
    #: The source lines of a string literal, whose line breaks are not those of its words.
    source: tuple[str, ...] = ()

    def line_of(self, offset: int, word: str) -> int:
        """Find the line of a word."""
        for distance, line in enumerate(self.source):
            if word.lower() in line.lower():
                return self.line + distance
        return self.line if self.source else self.line + self.words.count("\n", 0, offset)


class Finding(NamedTuple):
    """A banned word that was found."""

    line: int
    word: str
    use: str


def findings_in(text: Text) -> Iterator[Finding]:
    """Find the banned words in a piece of prose."""
    if text.is_docstring and text.words.startswith("What "):
        yield Finding(text.line, "What ...", "say what it is or does")
    prose = _without_code(text)
    for use, word, but, after in _PATTERNS:
        if not word.search(prose):
            continue
        if after.search(text.around):
            continue
        first = after.search(prose)
        right = [phrase.span() for phrase in but.finditer(prose)]
        if first:
            right.append((first.start(), len(prose)))
        for found in word.finditer(prose):
            if not any(start <= found.start() and found.end() <= end for start, end in right):
                words = found[0].split()
                yield Finding(text.line_of(found.start(), words[0]), " ".join(words), use)


def _without_code(text: Text) -> str:
    """Replace code, addresses and names by as many signs that are not letters."""

    def empty(found: re.Match[str]) -> str:
        return re.sub(r"[^\n]", "`", found[0])

    prose = SPAN.sub(empty, FENCE.sub(empty, text.words))
    return NAME.sub(empty, prose) if text.is_docstring else prose


def texts_of_document(source: str, *, is_changelog: bool = False) -> Iterator[Text]:
    """Read the sections of a document; of a changelog only the unreleased one."""
    for section in SECTION.finditer(source):
        if not is_changelog or section[0].startswith(UNRELEASED):
            yield Text(section[0], 1 + source.count("\n", 0, section.start()))


def texts_of_makefile(source: str) -> Iterator[Text]:
    """Read the help of a Makefile."""
    for number, line in enumerate(source.splitlines(), 1):
        target, _, shown = line.partition("## ")
        if shown and target[:1].isalpha():
            yield Text(shown, number)


def texts_of_code(source: str) -> Iterator[Text]:
    """Read public docstrings and all other strings that are prose: messages, help, descriptions."""
    return _texts(ast.parse(source), source.splitlines(), is_public=True, around="")


def _texts(node: ast.AST, lines: list[str], *, is_public: bool, around: str) -> Iterator[Text]:
    for child in ast.iter_child_nodes(node):
        match child:
            case ast.Expr(value=ast.Constant(value=str() as words, lineno=line)):
                if is_public:
                    yield Text(words, line, is_docstring=True, around=around)
                around += words
            case ast.Constant(value=str() as words) if PROSE.search(words):
                yield _string(child, words, lines)
            case ast.JoinedStr(values=values):
                words = "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in values)
                if PROSE.search(words):
                    yield _string(child, words, lines)
                for part in values:
                    if not isinstance(part, ast.Constant):
                        yield from _texts(part, lines, is_public=is_public, around=around)
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                still_public = is_public and not name.startswith("_")
                yield from _texts(child, lines, is_public=still_public, around=around)
            case _:
                yield from _texts(child, lines, is_public=is_public, around=around)


def _string(node: ast.Constant | ast.JoinedStr, words: str, lines: list[str]) -> Text:
    return Text(words, node.lineno, source=tuple(lines[node.lineno - 1 : node.end_lineno]))


def texts_of(path: Path) -> Iterator[Text]:
    """Read the prose in a file."""
    source = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        return texts_of_code(source)
    if path.name == "Makefile":
        return texts_of_makefile(source)
    return texts_of_document(source, is_changelog=path.name == "CHANGELOG.md")


def findings_under(root: Path) -> Iterator[str]:
    """Find the banned words in all files of a checkout; each with its place and its replacements."""
    for place in PLACES:
        for path in sorted(root.glob(place)):
            if path.name != Path(__file__).name:
                for text in texts_of(path):
                    for line, word, use in findings_in(text):
                        yield f'{path.relative_to(root)}:{line}: "{word}" -> {use}'


if __name__ == "__main__":
    found = list(findings_under(Path(__file__).parents[1]))
    print(*found, sep="\n", end="\n" if found else "")
    sys.exit(1 if found else 0)
