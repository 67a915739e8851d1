"""The run history's filters: OData-like texts, with the history's own rules for quotes."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from aml_provider.client.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Runs of pipelines; the second half is for records that know no type.
PIPELINE_RUNS = "(RunType eq azureml.PipelineRun or Properties/azureml.runsource eq azureml.PipelineRun)"
#: No steps and no runs within runs.
TOP_LEVEL = "(ParentRunId eq null)"

# What can stand in a filter without being taken for a part of its grammar, for which no way of escaping is known.
_NAME = re.compile(r"[\w.:-]+")
_UNQUOTED = re.compile(r"[\w.:/@+-]+")


def tag_equals(name: str, value: str | None, *, quoted: bool = True) -> str:
    """The filter for a tag with this value; None: with any value. Runs need a quoted value, experiments do not.

    Raises:
        InvalidArgument: The tag or its value cannot be written in a filter.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InvalidArgument(f"tags[{name!r}]", "cannot be searched for; use letters, digits, '_', '-', '.' and ':'")
    if value is None:
        # The service's own odd way to say "exists".
        return f"(Tags/{name} ne null or Tags/{name} eq null)"
    if not isinstance(value, str) or ('"' in value if quoted else not _UNQUOTED.fullmatch(value)):
        raise InvalidArgument(f"tags[{name!r}]", f"has the value {value!r}, which cannot stand in the service's filter")
    return f'(Tags/{name} eq "{value}")' if quoted else f"(Tags/{name} eq {value})"


def status_is(words: Iterable[str]) -> str:
    """The filter for a run whose status is one of the history's words."""
    return f"({' or '.join(f'Status eq {word}' for word in words)})"


def created_since(seconds: int) -> str:
    """The filter for a run that was created at this time or later; seconds since the epoch, workspace-rest 8.4."""
    return f"(CreatedUtc ge {datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S})"


def all_of(terms: Iterable[str]) -> str:
    """The filter for items that match all of these filters."""
    return f"({' and '.join(terms)})"
