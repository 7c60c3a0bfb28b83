"""How the documentation is built: ``make docs``."""

import ast
import importlib
import importlib.util
import inspect
import pkgutil
from collections.abc import Iterator
from pathlib import Path

import attrs
import click
from docutils import nodes
from docutils.statemachine import StringList
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective

import groupchat
from groupchat.cli.serve import serve
from groupchat.server.limits import Limits as ServerLimits

project = "groupchat"
author = "The groupchat developers"
copyright = author  # noqa: A001, the name that Sphinx wants
release = version = groupchat.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_click"]
exclude_patterns = ["_build", "measured"]
html_theme = "furo"
html_title = f"groupchat {release}"
html_copy_source = False
smartquotes = False  # they would turn the dashes of --host into one

myst_heading_anchors = 3
myst_enable_extensions = ["deflist"]

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"members": True, "undoc-members": True}
napoleon_numpy_docstring = False
python_use_unqualified_type_names = True

# --- Docstrings and help texts that the extensions would misread ------------------------------


def split_property(
    _app: Sphinx, what: str, _name: str, _obj: object, _options: object, lines: list[str]
) -> None:
    """Break the first line after a colon: Napoleon takes what stands before it for a type."""
    if what == "property" and lines:
        lines[:1] = lines[0].replace(": ", ":\n", 1).split("\n")


def keep_epilog(_app: Sphinx, context: click.Context, lines: list[str]) -> None:
    """Show the examples that follow a command's help as they are."""
    if lines and "\b" in (context.command.epilog or ""):
        lines.clear()
        for paragraph in inspect.cleandoc(context.command.epilog or "").split("\b\n")[1:]:
            title, _, examples = paragraph.strip().partition("\n")
            lines += [f"{title}:", "", *(f"   {line}" for line in examples.splitlines()), ""]


def keep_bracket(_app: Sphinx, _context: click.Context, lines: list[str]) -> None:
    """Give ``NAME[:PORT]`` its last bracket back."""
    lines[:] = [line.replace("[:PORT>", "[:PORT]>") for line in lines]


# --- Short names ------------------------------------------------------------------------------
# A docstring says :class:`Roster` wherever it stands; its page is that of the public name.

PUBLIC = ("groupchat.core", "groupchat.transports")


def find_public(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, text: nodes.Element
) -> nodes.Element | None:
    """Resolve a reference to what a public package re-exports."""
    name = node.get("reftarget", "").rpartition(".")[2]
    domain = env.domains.python_domain
    for package in PUBLIC:
        found = domain.objects.get(f"{package}.{name}")
        if found and name in importlib.import_module(package).__all__:
            return domain.resolve_xref(
                env, node["refdoc"], app.builder, "obj", f"{package}.{name}", node, text
            )
    return None


# --- Limits -----------------------------------------------------------------------------------
# The tables of limits are read from the code: those that can be chosen, from the class that has
# them; all others, from every public constant that is a number.

# The unit of a constant, by the word in its name.
UNITS = {
    "FORMAT": "version",
    "VERSION": "version",
    "MILLISECONDS": "milliseconds",
    "MESSAGES": "messages",
    "RECORDS": "records",
    "PAGES": "pages",
    "SPANS": "runs of events",
    "REFUSALS": "replies",
    "ADDRESSES": "addresses",
    "SOURCES": "addresses",
    "SESSIONS": "sessions",
    "COMMANDS": "commands",
    "NAMES": "names",
    "REQUESTS": "requests",
    "NUMBER": "number",
    "ROOM": "bytes",
    "TRIES": "tries",
    "EVENTS": "events",
    "WAITING": "messages",
    "BYTES": "bytes",
    "CHARACTERS": "characters",
    "SECONDS": "seconds",
    "INTERVAL": "milliseconds",
    "CONNECTIONS": "connections",
    "DATAGRAMS": "datagrams",
    "LINES": "requests",
    "PORT": "port number",
}


class Limits(SphinxDirective):
    """``.. limits::`` a table of every number that the code is bound by."""

    def run(self) -> list[nodes.Node]:
        lines = [
            ".. list-table::",
            "   :header-rows: 1",
            "",
            "   * - name",
            "     - value",
            "     - unit",
            "     - what it bounds",
            "     - where",
        ]
        for module, name, meaning in constants():
            value = getattr(importlib.import_module(module), name)
            lines += [
                f"   * - ``{name}``",
                f"     - {value if unit(name) == 'port number' else shown(value)}",
                f"     - {unit(name)}",
                f"     - {meaning}",
                f"     - ``{module}``",
            ]
        return self.parse_content_to_nodes_from(lines)

    def parse_content_to_nodes_from(self, lines: list[str]) -> list[nodes.Node]:
        """Return what *lines* of reStructuredText say."""
        self.content = StringList(lines, source="limits")
        return self.parse_content_to_nodes()


class Options(SphinxDirective):
    """``.. limit-options::`` a table of every limit that an option of ``serve`` changes."""

    def run(self) -> list[nodes.Node]:
        lines = [
            ".. list-table::",
            "   :header-rows: 1",
            "",
            "   * - option",
            "     - default",
            "     - what it bounds",
        ]
        for option, default, meaning in options():
            lines += [f"   * - ``{option}``", f"     - {default}", f"     - {meaning}"]
        self.content = StringList(lines, source="limit-options")
        return self.parse_content_to_nodes()


def options() -> Iterator[tuple[str, str, str]]:
    """Yield option, default and meaning of each limit that can be chosen."""
    defaults = {
        parameter.name: parameter.default
        for parameter in serve.params
        if isinstance(parameter, click.Option)
    }
    for limit in attrs.fields(ServerLimits):
        option = f"--max-{limit.name.replace('_', '-')}"
        if not any(option in parameter.opts for parameter in serve.params):
            raise ExtensionError(f"'groupchat serve' has no option {option}")
        if defaults[limit.name] != limit.default:
            raise ExtensionError(f"the default of {option} is not that of {limit.name}")
        yield option, shown(limit.default), limit.metadata["help"]


def constants() -> Iterator[tuple[str, str, str]]:
    """Yield module, name and meaning of each public constant that is a number, or several."""
    for found in pkgutil.walk_packages(groupchat.__path__, "groupchat."):
        spec = importlib.util.find_spec(found.name)
        if found.name.endswith("__main__") or spec is None or spec.origin is None:
            continue
        body = ast.parse(Path(spec.origin).read_text("utf-8")).body
        for statement, following in zip(body, [*body[1:], None], strict=True):
            match statement:
                case ast.AnnAssign(value=ast.Call(func=ast.Name(id="ord"))):
                    continue  # a letter
                case ast.AnnAssign(target=ast.Name(id=name)) if is_limit(found.name, name):
                    meaning = docstring(following)
                    if meaning is None:
                        raise ExtensionError(f"{found.name}.{name} does not say what it bounds")
                    yield found.name, name, " ".join(meaning.split())


def is_limit(module: str, name: str) -> bool:
    """Tell whether *name* in *module* is a public number, or several."""
    value = getattr(importlib.import_module(module), name, None)
    numbers = value if isinstance(value, tuple) else (value,)
    return (
        name.isupper()
        and not name.startswith("_")
        and all(isinstance(number, int | float) and number >= 0 for number in numbers)
    )


def docstring(statement: ast.stmt | None) -> str | None:
    """Return the string that *statement* is, if it is one."""
    match statement:
        case ast.Expr(value=ast.Constant(value=str(text))):
            return text
    return None


def shown(value: float | tuple[float, ...]) -> str:
    """Return a number, or several, as people write it."""
    if isinstance(value, tuple):
        return ", ".join(map(shown, value))
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"


def unit(name: str) -> str:
    """Return the unit of the constant called *name*."""
    for word, unit in UNITS.items():
        if word in name.split("_"):
            return unit
    raise ExtensionError(f"the unit of {name} is not known; see UNITS in docs/conf.py")


def setup(app: Sphinx) -> None:
    app.add_directive("limits", Limits)
    app.add_directive("limit-options", Options)
    app.connect("missing-reference", find_public)
    app.connect("autodoc-process-docstring", split_property, priority=400)  # before Napoleon
    app.connect("sphinx-click-process-epilog", keep_epilog)
    app.connect("sphinx-click-process-options", keep_bracket)
