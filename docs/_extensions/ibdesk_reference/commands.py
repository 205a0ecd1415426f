"""The page of commands, from the command line itself."""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from ibdesk.cli.app import root
from ibdesk_reference.markdown import block, code, escaped, heading, plain, table
from ibdesk_server.settings import Settings

Words = tuple[str, ...]
_EXAMPLES = re.compile(r"\[bold\]Examples\[/bold\]\s*(.*)", re.DOTALL)
_WORDS = {Path: "path", int: "integer", float: "number", str: "text"}
_NO_PANEL = "Other"


def walk(command: Any, path: Words = ("ibdesk",)) -> Iterator[tuple[Words, Any]]:
    """Yield every command that does something, with the words that lead to it."""
    if not hasattr(command, "commands"):
        yield path, command
        return
    for name, each in command.commands.items():
        if not each.hidden:
            yield from walk(each, (*path, name))


def as_markdown() -> str:
    """Return every command with what it takes, by the panels of `ibdesk --help`."""
    top = root()
    parts = [heading(2, "Before the command"), _parameters(top), "Exit codes:\n", _exit_codes()]
    panels: dict[str, list[str]] = {}
    for path, command in walk(top):
        group = top.commands[path[1]]
        panel = getattr(group, "rich_help_panel", None) or _NO_PANEL
        panels.setdefault(str(panel), []).append(_command(path, command))
    for panel, found in panels.items():
        parts += [heading(2, panel), *found]
    return "\n".join(parts)


def _command(path: Words, command: Any) -> str:
    name = " ".join(path)
    about = escaped(plain(command.help or ""))
    parts = [heading(3, code(name), target=f"command-{'-'.join(path[1:])}"), about + "\n"]
    parts += [block(_usage(name, command)), _parameters(command)]
    if found := _EXAMPLES.search(command.epilog or ""):
        lines = "\n".join(line.strip() for line in plain(found[1]).splitlines())
        parts += ["Examples:\n", block(lines)]
    return "\n".join(parts)


def _usage(name: str, command: Any) -> str:
    context = command.make_context(name, [], resilient_parsing=True)
    return " ".join([name, *command.collect_usage_pieces(context)])


def _parameters(command: Any) -> str:
    rows = []
    for parameter in command.params:
        if getattr(parameter, "hidden", False) or parameter.name == "help":
            continue
        is_option = parameter.param_type_name == "option"
        name = ", ".join([*parameter.opts, *parameter.secondary_opts]) if is_option else _argument(parameter)
        rows.append([code(name), _kind(parameter), _default(parameter), escaped(plain(_help(parameter)))])
    return table(["option or argument", "value", "default", "what it is"], rows) if rows else ""


def _argument(parameter: Any) -> str:
    return str(parameter.metavar or parameter.name).upper()


def _help(parameter: Any) -> str:
    return str(getattr(parameter, "help", None) or "")


def _kind(parameter: Any) -> str:
    """Return in words what an option takes: a flag nothing, the others a value of a type or one of some words."""
    if getattr(parameter, "is_flag", False):
        return "flag"
    kind, several = parameter.type_descriptor.annotation, parameter.multiple or parameter.nargs == -1
    if get_origin(kind) is list:
        kind = get_args(kind)[0]
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        words = ", ".join(code(each.value) for each in kind)
    elif get_origin(kind) is Literal:
        words = ", ".join(map(code, get_args(kind)))
    elif parameter.metavar and parameter.param_type_name == "option":
        words = code(parameter.metavar)
    else:
        words = _WORDS.get(kind, "text")
    limits = [
        f"{word} {bound:g}" for word, bound in (("from", parameter.min), ("to", parameter.max)) if bound is not None
    ]
    return ", ".join([words, *limits, *(["repeatable"] if several else [])])


def _default(parameter: Any) -> str:
    shown = getattr(parameter, "show_default", None)
    if isinstance(shown, str):
        return _with_link(plain(shown))
    value = parameter.default
    if parameter.required:
        return "required"
    if isinstance(value, bool):
        return "on" if value else "off"
    if shown is False or value is None or value in ("", [], ()) or callable(value):
        return ""
    shown = getattr(value, "value", value)
    return code(int(shown) if isinstance(shown, float) and shown.is_integer() else shown)


def _with_link(text: str) -> str:
    """Return the text of a default; one that is a setting's, such as `server.port: 8000`, leads to the setting."""
    name, colon, value = text.partition(": ")
    path = tuple(name.split("."))
    if not colon or path not in Settings.catalog().settings:
        return escaped(plain(text))
    section = ".".join(path[:-1]) or "top-level"
    shown = escaped(plain(value)) if " " in value else code(value)
    return f"{shown}, from [{code(name)}](#settings-{section})"


def _exit_codes() -> str:
    from ibdesk import cli

    rows = [
        ["`0`", "The command did what it was asked, or Ctrl-C ended a command that runs until Ctrl-C."],
        [code(cli.FAILED), "The command was typed correctly and failed while it ran."],
        [code(cli.WRONG), "An argument, a setting or a file cannot be used."],
        [code(cli.INTERRUPTED), "Ctrl-C came before the command was up."],
    ]
    return table(["code", "meaning"], rows)
