"""Which room may import which, and what breaks it. The tables are the rules; a new room needs a row.

Imports for types only and imports inside functions count: they are dependencies too.
"""

from __future__ import annotations

import ast
import functools
import sys
from pathlib import Path
from typing import NamedTuple

PACKAGE = Path(__file__).parents[3] / "aml_provider"

# Room or top-level module -> the others that it may import, besides itself and the package's version.
ROOMS = {
    # These import no Airflow (see LIBRARIES).
    "client": "",
    "stored": "client",
    "deadlines": "",
    "durations": "client",
    "watching": "stored",
    "blobs": "client stored watching",
    "durable": "blobs client stored watching",
    # These may.
    "compat": "",
    "assets": "client",
    "get_provider_info": "",
    "links": "",
    "masking": "client",
    "metric_sender": "compat",
    "metrics": "blobs client durable metric_sender",
    "retry_policies": "client compat",
    "xcom": "",
    # A pure function of texts, for the commands and for the pages of the local workspace.
    "operator_call": "",
    # For type checkers only.
    "argument_types": "client compat",
    "fail_errors": "client compat",
    "connection": "client fail_errors get_provider_info metrics",
    "hooks": "blobs client connection durable durations get_provider_info masking metrics stored xcom",
    "state": "blobs client durable stored watching",
    "parsing": "blobs client durations",
    "triggerer": "blobs client connection deadlines durable durations hooks masking metrics state stored watching",
    "triggers": (
        "blobs client connection deadlines durable durations hooks masking metrics state stored triggerer watching"
    ),
    "worker": (
        "assets blobs client connection deadlines durable durations hooks links masking metrics state stored triggerer "
        "triggers"
    ),
    "operators": "argument_types client connection deadlines durations hooks links parsing triggers worker",
    "decorators": "argument_types client operators worker",
    "sensors": "blobs client connection deadlines durations hooks links parsing triggers worker",
    "api_server": "client connection durable hooks masking metrics state stored",
    "plugin": "api_server xcom",
    "cli": "client connection durable durations hooks operator_call state",
    "__main__": "cli",
    "emulator": "operator_call",
    "testing": "emulator",
    "pytest_plugin": "client emulator state testing",
}

# The same inside the client. "http" defines requests and replies, for all; the modules that send them have rows.
CLIENT = {
    "text": "",
    "help": "",
    "in_flight": "",
    "models": "",
    "errors": "help text",
    "poll_log": "",
    "trouble": "errors help",
    "arguments": "errors text",
    "portable": "models",
    "secret": "errors",
    "settings": "errors portable secret text",
    "entities": "arguments errors models portable secret text",
    "specs": "arguments entities errors models portable text",
    "calls": "entities errors secret text",
    "http": "calls errors help secret text trouble",
    "auth": "errors help http in_flight secret settings text",
    "rights": "calls entities",
    "flows": "arguments calls entities errors help http models poll_log settings specs text trouble",
    "polling": "calls entities errors flows http poll_log text trouble",
    "http.protocol": "calls errors help http secret settings text trouble",
    "http.routes": "errors http",
    "http.transfer": "errors http http.protocol http.routes secret settings text trouble",
    "http.clients": "auth calls errors http http.protocol http.routes http.transfer secret settings text",
}

# The same inside the emulator.
EMULATOR = {
    "clock": "",
    "quirks": "clock",
    "faults": "clock",
    "request_log": "",
    "workspace": "clock quirks",
    "wire": "quirks workspace",
    "engine": "clock workspace",
    "seeds": "clock workspace",
    "steps": "engine workspace",
    "emulation": "clock engine faults quirks request_log seeds steps workspace",
    # Who may use the control API and the buttons of the pages.
    "control_access": "workspace",
    "studio": "control_access emulation engine wire workspace",
    "demo_steps": "steps studio",
    "routes": "clock control_access emulation wire workspace",
    "serving": "clock control_access emulation faults quirks request_log routes studio workspace",
    "server": "clock emulation faults quirks seeds serving workspace",
    "__main__": "server",
}

# Package -> the table of its rooms.
TABLES = {"aml_provider": ROOMS, "aml_provider.client": CLIENT, "aml_provider.emulator": EMULATOR}

# Third-party package -> the rooms and modules that may import it. Packages that are not listed may not be imported.
LIBRARIES = {
    "airflow": (
        "__main__ api_server assets cli compat connection decorators hooks links masking operators parsing plugin "
        "retry_policies sensors state triggerer triggers worker xcom"
    ),
    "anyio": "client.http",
    "asgiref": "compat state triggers",
    # Comes with OpenLineage.
    "attr": "worker.lineage",
    "azure": "blobs.access client.auth emulator.engine testing.azurite testing.blobs",
    "argcomplete": "__main__",
    "cryptography": "blobs client.auth",
    "flask_appbuilder": "hooks",
    "httpcore": "client.http.clients client.http.routes client.http.transfer",
    "httpx": "client.http.clients client.http.routes client.http.transfer",
    "jinja2": "emulator operators worker",
    "openlineage": "assets worker.lineage",
    # Comes with Airflow, whose timetables need its datetimes.
    "pendulum": "cli",
    "pytest": "pytest_plugin",
    "rich": "cli",
    "sqlalchemy": "api_server",
    "starlette": "emulator",
    "tzlocal": "client.specs emulator.workspace",
    "uvicorn": "emulator",
    "wtforms": "hooks",
    "yaml": "emulator worker",
    # Parts of the standard library that would send requests without the client.
    "http.client": "",
    "urllib.request": "",
}

# Whatever imports Airflow may ask where a name is.
ROOMS |= {room: f"{ROOMS[room]} compat" for room in LIBRARIES["airflow"].split() if room != "compat"}

# Rooms that the classes of DAG authors load only when they run: only these rooms import each other at module level.
LATE = ("worker", "triggerer", "api_server")
# The exception: the module that loads others.
LOADS_OTHERS = "triggerer.loading"


class Module(NamedTuple):
    source: str
    is_package: bool = False


class Import(NamedTuple):
    name: str
    # Neither inside a function nor for types only.
    at_module_level: bool


def under(name, prefixes):
    """The longest of the prefixes that contain a dotted name; None if there is none."""
    parts = name.split(".")
    heads = (".".join(parts[:size]) for size in range(len(parts), 0, -1))
    return next((head for head in heads if head in prefixes), None)


@functools.cache
def imports(module, name):
    """Everything that a module imports: at the top, in a function, for types only, by a string in a call."""
    package = name if module.is_package else name.rpartition(".")[0]
    return list(_imports(ast.parse(module.source), package, at_module_level=True))


def _imports(node, package, *, at_module_level):
    match node:
        case ast.Import(names=names):
            yield from (Import(alias.name, at_module_level) for alias in names)
        case ast.ImportFrom(module=module, names=names, level=level):
            parts = package.split(".")
            start = ".".join(parts[: len(parts) - level + 1]) if level else ""
            base = ".".join(filter(None, (start, module)))
            # ``from a import b`` imports a, and perhaps a module a.b.
            yield from (Import(f"{base}.{alias.name}", at_module_level) for alias in names)
        case ast.Call(args=args, func=func):
            by_name = ast.unparse(func).rpartition(".")[2] in {"import_module", "__import__"}
            for arg in args:
                # Not only importlib's own functions: to_thread(import_module, "…"), load("…").
                if isinstance(arg, ast.Constant) and isinstance(arg.value, str) and (by_name or arg.value in MODULES):
                    yield Import(arg.value, at_module_level)
        case ast.If(test=test, body=body, orelse=orelse) if "TYPE_CHECKING" in ast.unparse(test):
            for child in body:
                yield from _imports(child, package, at_module_level=False)
            for child in orelse:
                yield from _imports(child, package, at_module_level=at_module_level)
            return
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.Lambda():
            at_module_level = False
    for child in ast.iter_child_nodes(node):
        yield from _imports(child, package, at_module_level=at_module_level)


def read_modules():
    return {
        ".".join(["aml_provider", *path.relative_to(PACKAGE).with_suffix("").parts]).removesuffix(".__init__"): Module(
            path.read_text(), path.name == "__init__.py"
        )
        for path in PACKAGE.rglob("*.py")
    }


MODULES = read_modules()


def names_under(root, modules):
    """The modules in a package, each with its name relative to it."""
    start = f"{root}."
    return {name: name.removeprefix(start) for name in modules if name.startswith(start)}


def breaches(table, root, modules):
    """Imports that a table of rooms does not allow."""
    found = []
    for name, inner in names_under(root, modules).items():
        room = under(inner, table)
        for imported in imports(modules[name], name):
            other = under(imported.name.removeprefix(f"{root}."), table) if imported.name.startswith(root) else None
            if other is not None and other not in {room, *table.get(room, "").split()}:
                found.append(f"{name} imports {imported.name}, but {room} may import: {table.get(room) or 'nothing'}")
    return sorted(found)


def foreign(modules):
    """Imports of third-party packages that are not allowed."""
    found = []
    for name, inner in names_under("aml_provider", modules).items():
        for imported, _ in imports(modules[name], name):
            top = imported.partition(".")[0]
            library = under(imported, LIBRARIES)
            if library is None and (top == "aml_provider" or top in sys.stdlib_module_names):
                continue
            if library is None or under(inner, LIBRARIES[library].split()) is None:
                found.append(f"{name} imports {imported}")
    return sorted(found)


def early(modules):
    """Module-level imports of rooms that must be loaded late."""
    return sorted(
        f"{name} imports {imported.name} at module level"
        for name, inner in names_under("aml_provider", modules).items()
        if under(inner, LATE) is None
        for imported in imports(modules[name], name)
        if imported.at_module_level
        and (other := imported.name.removeprefix("aml_provider.")) != imported.name
        and under(other, LATE) is not None
        and under(other, (LOADS_OTHERS,)) is None
    )


def circles(modules):
    """Groups of modules that import each other in any way, each with the imports that close the circle."""
    graph = _graph(modules)
    reached = {name: _reachable(graph, name) for name in graph}
    groups = {
        frozenset(other for other in reached[name] if name in reached[other]) for name in graph if name in reached[name]
    }
    return sorted(
        "; ".join(f"{name} -> {', '.join(sorted(graph[name] & group))}" for name in sorted(group)) for group in groups
    )


def reached_from(rooms, modules):
    """All modules that those of some rooms import in any way, and what these import."""
    graph = _graph(modules)
    starts = [name for name, inner in names_under("aml_provider", modules).items() if under(inner, rooms) is not None]
    return set().union(*(_reachable(graph, start) for start in starts))


def _graph(modules):
    return {
        name: {target for item in imports(module, name) if (target := under(item.name, modules)) not in {None, name}}
        for name, module in modules.items()
    }


def _reachable(graph, start):
    reached, waiting = set(), list(graph[start])
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting.extend(graph[name])
    return reached
