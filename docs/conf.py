"""Sphinx configuration: furo, MyST, and a reference that is generated from docstrings."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import click
from docutils import nodes
from sphinx.util.docutils import SphinxDirective

import multirec

project = "multirec"
author = "The multirec developers"
project_copyright = author
version = release = multirec.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.mathjax"]
exclude_patterns = ["_build"]
source_suffix = {".md": "markdown"}
nitpicky = False

html_theme = "furo"
html_title = f"multirec {release}"

default_role = "code"
myst_enable_extensions = ["colon_fence", "dollarmath", "deflist"]
myst_heading_anchors = 3

napoleon_google_docstring = False
napoleon_use_param = napoleon_use_rtype = False
# one entry may have several names
napoleon_custom_sections = ["Shapes", ("Attributes", "params_style"), ("Raises", "params_style")]
autodoc_member_order = "bysource"
autodoc_typehints = "none"


class CommandHelp(SphinxDirective):
    """Show what ``multirec COMMAND --help`` prints, read from the command itself."""

    optional_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        command: Any = import_module("multirec.cli").cli
        settings = command.context_settings | {"terminal_width": 88}
        context = click.Context(command, info_name="multirec", **settings)
        for name in self.arguments[0].split() if self.arguments else ():
            command = command.get_command(context, name)
            context = click.Context(command, info_name=name, parent=context, **settings)
        text = command.get_help(context)
        return [nodes.literal_block(text, text, language="text")]


def says_nothing(app: Any, what: str, name: str, obj: Any, skip: bool, options: Any) -> bool:
    """Leave out the fields of named tuples that have no docstring of their own."""
    return skip or str(getattr(obj, "__doc__", "")).startswith("Alias for field number")


def setup(app: Any) -> None:
    """Add the directive for the command line's help."""
    app.add_directive("command-help", CommandHelp)
    app.connect("autodoc-skip-member", says_nothing)
