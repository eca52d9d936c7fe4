"""What the site generator does not do by itself: pages of a folder in the navigation, and no network."""

import re
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import Files

FETCHED = re.compile(
    r"<(?:script|img|iframe|source)\b[^>]*\bsrc=[\"']?((?:https?:)?//[^\"' >]+)"
    r"|<link\b(?![^>]*\brel=[\"']?canonical)[^>]*\bhref=[\"']?((?:https?:)?//[^\"' >]+)",
    re.IGNORECASE,
)
"""What a browser loads without being asked to."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Put the pages of a folder in the place of its name in the navigation, in the order of their names."""
    pages = sorted(file.src_uri for file in files.documentation_pages())
    config.nav = listed(config.nav or [], pages)
    return files


def listed(entry: Any, pages: list[str]) -> Any:
    """Return a part of the navigation without names of folders."""
    if isinstance(entry, dict):
        return {title: listed(inner, pages) for title, inner in entry.items()}
    if not isinstance(entry, list):
        return entry
    found: list[Any] = []
    for each in entry:
        if isinstance(each, str) and each.endswith("/"):
            found += [page for page in pages if page.startswith(each)]
        else:
            found.append(listed(each, pages))
    return found


def on_post_page(output: str, page: Any, config: MkDocsConfig) -> str:  # noqa: ARG001  # called by name
    """Refuse a page that needs the network to be read."""
    for match in FETCHED.finditer(output):
        msg = f"{page.file.src_uri} loads {match[1] or match[2]}: put a copy beside it"
        raise PluginError(msg)
    return output
