"""What pages are put together from: verdicts, tables, tiles. Draws what it is handed."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from memtrace.model.shapes import Advice, Verdict
from memtrace.model.units import size
from memtrace.model.words import VERDICTS, advice_in_full, evidence_value, verdict_briefly
from memtrace.views.html.chart import share_bar
from memtrace.views.html.markup import NOTHING, Content, Html, element
from memtrace.views.text import cut_middle, printable

_LONGEST_PATH = 300
SEVERITIES = ("ok", "info", "warning", "critical", "unknown")


def verdict_block(verdict: Verdict) -> Html:
    """Return the claim, how sure it is, what it rests on and what to do."""
    name = element("code", verdict.id)
    sure = f", {round(100 * verdict.confidence)}% sure" if verdict.confidence else ""
    return element(
        "div",
        element("p", f"{verdict.severity}: {verdict.claim}", class_="claim"),
        _advice(verdict.advice),
        _evidence(verdict),
        element("p", name, sure, _others(verdict.others), class_="dim"),
        class_=f"verdict {tone(verdict.severity)}",
    )


def badge(verdict: Verdict) -> Html:
    """Return the verdict in a few words; severity is in the mark as well as in the colour."""
    return element("span", verdict_briefly(verdict), class_=f"badge {tone(verdict.severity)}")


def tone(severity: str) -> str:
    """Return the class of a severity's colour."""
    return severity if severity in SEVERITIES else "unknown"


def tiles(entries: Iterable[tuple[str, Content]]) -> Html:
    """Return figures with their names."""
    made = [
        element("li", element("b", figure), element("span", name))
        for name, figure in entries
        if figure
    ]
    return element("ul", made, class_="tiles")


def table(
    titles: Sequence[str],
    rows: Sequence[Sequence[Content]],
    numbers: Collection[int] = (),
    picture: int | None = None,
) -> Html:
    """Return rows under titles. `numbers`: columns that line up on the right; one may be pictures.

    On a narrow page each row is a card, with the titles in front. Without rows: nothing.
    """
    if not rows:
        return NOTHING
    classes = [
        "n" if place in numbers else "picture" if place == picture else None
        for place in range(len(titles))
    ]
    head = [element("th", t, class_=c) for t, c in zip(titles, classes, strict=True)]
    body = [
        element(
            "tr",
            [
                element("td", cell, class_=c, data_label=t)
                for cell, t, c in zip(row, titles, classes, strict=True)
            ],
        )
        for row in rows
    ]
    return element(
        "table",
        element("thead", element("tr", head)),
        element("tbody", body),
        class_="cards",
    )


def bar(amount: int, whole: int, class_: str, name: str) -> Html:
    """Return an amount as a share of the largest."""
    return share_bar([(class_, amount)], whole, f"{name}: {size(amount)}", height=10)


def change(amount: int | None) -> str:
    """Return how much something grew, with its sign."""
    return f"+{size(amount)}" if amount is not None and amount > 0 else size(amount)


def titled(title: str, *content: Content) -> Html:
    """Return a part with its title; nothing when there is nothing in it."""
    if not any(content):
        return NOTHING
    return element("div", element("h3", title), content)


def path(name: str) -> Html:
    """Return the name of a file or a cgroup; the longest that Linux has would be a page."""
    return element("span", cut_middle(printable(name), _LONGEST_PATH), class_="path")


def bullets(items: Iterable[Content]) -> Html:
    """Return a list; nothing when it is empty."""
    made = [element("li", item) for item in items]
    return element("ul", made) if made else NOTHING


def _advice(advice: Sequence[Advice]) -> Html:
    if not advice:
        return NOTHING
    items = [
        (advice_in_full(each), element("pre", each.paste) if each.paste else NOTHING)
        for each in advice
    ]
    return element("div", element("p", element("b", "What to do")), bullets(items))


def _evidence(verdict: Verdict) -> Html:
    known = [(each.text, evidence_value(each)) for each in verdict.evidence]
    rows = [(text, value) for text, value in known if value != "-"]
    if not rows:
        return NOTHING
    made = [element("tr", element("td", t), element("td", v, class_="n")) for t, v in rows]
    inner = element("table", element("tbody", made))
    return element("details", element("summary", "What this rests on"), inner, open="")


def _others(others: Sequence[str]) -> str:
    told = "; ".join(VERDICTS.get(other, other) for other in others)
    return f". Also true of it: {told}" if others else ""
