"""Reads a page as a browser would: elements that are open, attributes, text."""

from __future__ import annotations

from html.parser import HTMLParser

VOID = {"meta", "br"}
REFERRING = {"src", "href", "xlink:href", "action", "data", "poster", "srcset", "formaction"}


class Reader(HTMLParser):
    """What is in a page; `wrong` has each tag that closes nothing or another element."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.wrong: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str | None]] = []
        self.text = ""
        self.feed(page)
        self.close()
        self.wrong += self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note it."""
        self.tags.append(tag)
        self.attributes += [(tag, *attribute) for attribute in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element of SVG without content."""
        self.tags.append(tag)
        self.attributes += [(tag, *attribute) for attribute in attrs]

    def handle_endtag(self, tag: str) -> None:
        """Check that it closes what is open."""
        if not self.open or self.open.pop() != tag:
            self.wrong.append(f"/{tag}")

    def handle_data(self, data: str) -> None:
        """Collect what is read, the style sheet excepted."""
        if "style" not in self.open:
            self.text += data

    def references(self) -> list[str]:
        """What a browser might follow or fetch."""
        return [value or "" for _, name, value in self.attributes if name in REFERRING]


def check(page: str) -> Reader:
    """Return what is in a page that is sound: closed, and neither script nor anything outside."""
    page.encode()  # valid Unicode
    read = Reader(page)
    assert read.wrong == []
    assert not {"script", "iframe", "object", "embed", "link", "base", "img"} & set(read.tags)
    assert all(each.startswith("#") for each in read.references())
    names = {name for _, name, _ in read.attributes}
    assert not [name for name in names if name.startswith("on") or name == "style"]
    assert "url(" not in page
    assert "@import" not in page
    return read
