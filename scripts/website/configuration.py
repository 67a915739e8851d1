"""The options of airflow.cfg and the fields of a connection, from the description that Airflow reads too."""

from __future__ import annotations

from aml_provider.get_provider_info import get_provider_info
from website.markdown import code, plain, table


def options() -> str:
    """A table of the options in the section ``[azureml]``."""
    rows = []
    for name, option in get_provider_info()["config"]["azureml"]["options"].items():
        example = f" For example: {code(option['example'])}." if option["example"] else ""
        rows.append(
            [
                code(name),
                option["type"],
                code(option["default"]) if option["default"] else "",
                plain(option["description"]) + example,
            ]
        )
    return table(["option", "type", "default", "meaning"], rows)


def connection_fields() -> str:
    """A table of the connection's own fields, which are stored in its extra."""
    (connection,) = get_provider_info()["connection-types"]
    rows = []
    for name, field in connection["conn-fields"].items():
        schema = field["schema"]
        values = f" One of {', '.join(map(code, schema['enum']))}." if "enum" in schema else ""
        default = schema.get("default")
        rows.append(
            [
                code(name),
                plain(field["label"]),
                "" if default is None else code(str(default).lower() if isinstance(default, bool) else default),
                plain(field["description"]) + values,
            ]
        )
    return table(["key in the extra", "label", "default", "meaning"], rows)
