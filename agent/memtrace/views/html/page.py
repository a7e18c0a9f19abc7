"""The frame of a page: what a browser may do with it, its head and its foot."""

from __future__ import annotations

import base64
import hashlib

from memtrace.views.html.markup import Content, Html, element, raw
from memtrace.views.html.style import SHEET


def page(title: str, *content: Content) -> str:
    """Return a whole document, valid Unicode. It may load nothing and run nothing."""
    digest = base64.b64encode(hashlib.sha256(SHEET.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="referrer", content="no-referrer"),
        element("meta", name="generator", content="memtrace report"),
        element("title", title),
        element("style", raw(SHEET)),
    )
    return f"<!DOCTYPE html>\n{element('html', head, _body(content), lang='en')}\n"


def _body(content: Content) -> Html:
    return element("body", content)
