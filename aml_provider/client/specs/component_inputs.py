"""The check of a run's request against the interface of a component (azureml-v2-rest 5)."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from math import isnan, nan
from typing import TYPE_CHECKING

from aml_provider.client.errors import InvalidParameters
from aml_provider.client.specs.run import FORMS
from aml_provider.client.text import some_of

if TYPE_CHECKING:
    from aml_provider.client.entities import ComponentInput, ComponentVersion
    from aml_provider.client.specs.run import RunRequest

_FORMS = {"integer": FORMS["Int"], "number": FORMS["Double"], "boolean": FORMS["Bool"]}


def check_inputs(request: RunRequest, component: ComponentVersion) -> None:
    """Compare names, types and limits with the component's inputs.

    Raises:
        InvalidParameters: Something does not fit; the message lists all mistakes, and what the component accepts.
    """
    inputs = component.inputs
    given = Counter([*request.parameters, *request.data_paths, *request.datasets])
    problems = [f"input {name!r} is given {count} times" for name, count in given.items() if count > 1]
    for kind, names in (("data path", request.data_paths), ("dataset", request.datasets)):
        for name in names:
            if name not in inputs:
                problems.append(f"there is no {kind} {name!r}")
            elif not inputs[name].takes_data:
                problems.append(f"{name!r} is not a {kind}, but a parameter ({_type(inputs[name])})")
    for name, text in request.parameters.items():
        if name not in inputs:
            problems.append(f"there is no parameter {name!r}")
        elif inputs[name].takes_data:
            problems.append(f"{name!r} is not a parameter, but takes data ({inputs[name].type})")
        else:
            problems += _misfits(inputs[name], text)
    problems += [
        f"{'data path' if item.takes_data else 'parameter'} {name!r} has no default and is not given"
        for name, item in inputs.items()
        if item.required and name not in given
    ]
    if problems:
        literals = [_shown(item) for item in inputs.values() if not item.takes_data]
        data = [_shown(item) for item in inputs.values() if item.takes_data]
        raise InvalidParameters(
            f"{component}: {'; '.join(problems)}. It accepts parameters: {', '.join(literals) or 'none'}; data paths "
            f"or datasets: {', '.join(data) or 'none'}. Nothing was submitted."
        )


def _misfits(item: ComponentInput, text: str) -> list[str]:
    """What is wrong with a literal: its type, or a limit that it breaks."""
    subject = f"parameter {item.name!r} is {text!r}, but"
    form = _FORMS.get(item.type)
    if form is not None and not form.fullmatch(text):
        return [f"{subject} its type is {item.type}"]
    if item.choices and not _is_among(text, item):
        return [f"{subject} it must be one of {some_of(list(map(repr, item.choices)), ', ')}"]
    if item.type not in {"integer", "number"}:
        return []
    value = _number(text)
    lowest, highest = _bound(item.minimum), _bound(item.maximum)
    # NaN is outside of any limit, and a Decimal refuses to be compared with it.
    is_nan = isinstance(value, float) and isnan(value)
    if lowest is not None and (is_nan or value < lowest):
        return [f"{subject} it must be at least {item.minimum}"]
    if highest is not None and (is_nan or value > highest):
        return [f"{subject} it must be at most {item.maximum}"]
    return []


def _is_among(text: str, item: ComponentInput) -> bool:
    if item.type == "boolean":
        return text.strip().lower() in {choice.strip().lower() for choice in item.choices}
    if item.type in {"integer", "number"}:
        return _number(text) in {_bound(choice) for choice in item.choices}
    return text in item.choices


def _number(text: str) -> Decimal | float:
    """A number of any size; whole numbers are exact."""
    return Decimal(text.strip()) if FORMS["Int"].fullmatch(text) else float(text)


def _bound(text: str) -> Decimal | float | None:
    """A limit of the interface; None: there is none, or it cannot be read, and the service decides."""
    number = _number(text) if FORMS["Double"].fullmatch(text) else nan
    return None if isinstance(number, float) and isnan(number) else number


def _type(item: ComponentInput) -> str:
    return item.type or "any type"


def _shown(item: ComponentInput) -> str:
    limits = [f"at least {item.minimum}"] if item.minimum else []
    limits += [f"at most {item.maximum}"] if item.maximum else []
    limits += [f"one of {some_of(list(item.choices), ' | ')}"] if item.choices else []
    return f"{item.name} ({', '.join([_type(item), *limits, *(() if item.required else ('optional',))])})"
