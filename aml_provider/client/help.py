"""The addresses of the documentation in error messages: each class of errors has its place on one page of the site."""

from __future__ import annotations

import re

#: Where the documentation of this package is published.
SITE = "https://airflow-provider-azureml.github.io/airflow-provider-azureml/"
#: The page that has a heading for each class of errors.
ERRORS = f"{SITE}troubleshooting/errors.html"

#: The places of errors that are Airflow's own but raised by this package.
CONNECTION_NOT_FOUND = f"{ERRORS}#connection-not-found"
SENSOR_TIMEOUT = f"{ERRORS}#sensor-timeout"
#: The place of a warning that a person should not overlook.
PATTERN_CHANGED = f"{SITE}reference/blob-sensor.html#if-the-pattern-changes"

_LABEL = "Help: "
_PACKAGE = "aml_provider"
# Between a small letter and a capital, and before the last capital of several: AzureMLError is azure-ml-error.
_BETWEEN_WORDS = r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])"


class Helped(Exception):
    """Makes the text of an exception end with the address of its class in the documentation."""

    @property
    def text(self) -> str:
        """The message without the address, for a message that quotes this one."""
        return super().__str__()

    def __str__(self) -> str:
        return with_address(self.text, address_of(type(self)))


def address_of(kind: type[BaseException]) -> str:
    """The address of an error's class in the documentation. Another project's subclass has that of its base."""
    own = next(base for base in kind.__mro__ if base.__module__.partition(".")[0] == _PACKAGE)
    return f"{ERRORS}#{anchor(own.__name__)}"


def anchor(name: str) -> str:
    """The anchor of a class on the page of errors: its words in small letters, with dashes between them."""
    return re.sub(_BETWEEN_WORDS, "-", name).lower()


def with_address(text: str, address: str) -> str:
    """Add an address to the end of a message, on a line of its own if the message has several lines.

    A message that ends with an address of this documentation stays as it is.
    """
    if re.search(rf"{_LABEL}{re.escape(SITE)}\S+$", text):
        return text
    text = text.rstrip()
    if "\n" in text:
        return f"{text}\n{_LABEL}{address}"
    return f"{sentence(text)} {_LABEL}{address}".lstrip()


def sentence(text: str) -> str:
    """End a text with a full stop, unless it ends with one: for a message that continues with another sentence."""
    text = text.rstrip()
    # A stop after a link would look like a part of the link.
    is_open = text[-1:].isalnum() or text[-1:] in {"'", '"', ")", "]"}
    return f"{text}." if is_open and "://" not in text.rpartition(" ")[2] else text


def without_addresses(text: str) -> str:
    """Remove the addresses of other errors from a text that quotes them."""
    return re.sub(rf"\s*{_LABEL}{re.escape(SITE)}[\w./-]*(?:#[\w-]*)?", "", text) if SITE in text else text


def text_of(error: object) -> str:
    """The text of an error without its address, for a message or a log line that quotes it."""
    return error.text if isinstance(error, Helped) else without_addresses(str(error))
