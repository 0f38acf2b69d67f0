"""One script per listed page, written in the instruction language of the prompts."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any

from tasks.miniwob import pages

Policy = Iterator[str]


class Sight:
    """What a script sees now; the oracle renews it before every instruction.

    Attributes:
        goal: the page's own request.
        fields: what the page says of its request, on the pages with free English.
    """

    goal: str = ""
    fields: Mapping[str, Any] = {}
    _root: Any = None

    def update(self, goal: str, page: str, fields: Mapping[str, Any]) -> None:
        """Look anew."""
        from lxml import html

        self.goal, self.fields = goal, fields
        self._root = html.fromstring(f"<body>{page}</body>")

    def find(self, xpath: str) -> list[Any]:
        """What an xpath finds on the page now."""
        return self._root.xpath(xpath)

    def said(self, pattern: str) -> tuple[str, ...]:
        """Groups of a pattern in the goal; empty texts when it does not match."""
        pattern_ = re.compile(pattern)
        match = pattern_.search(self.goal)
        return match.groups() if match else ("",) * pattern_.groups


def click(xpath: str) -> str:
    return f"clickxpath {xpath}"


def by_id(name: str) -> str:
    return f'clickxpath //*[@id="{name}"]'


def quoted(text: str) -> str:
    return f'"{text}"' if '"' not in text else f"'{text}'"


SUBMIT = 'clickxpath //button[text()="Submit"]'


def press_button(sight: Sight) -> Policy:
    label = sight.said('"(.*)" button')[0]
    yield click(f"//button[text()={quoted(label)}]")


def first_button(sight: Sight) -> Policy:
    del sight
    yield by_id("subbtn")


def two_buttons(sight: Sight) -> Policy:
    del sight
    yield by_id("subbtn")
    yield by_id("subbtn2")


def choose_list(sight: Sight) -> Policy:
    item = sight.said("Select (.*) from the list")[0]
    yield click(f"//option[text()={quoted(item)}]")
    yield SUBMIT


def scroll_list(sight: Sight) -> Policy:
    wanted = ", " + sight.said("Select (.*) from the scroll list")[0] + ","
    for option in sight.find("//option"):
        if f", {option.text}," in wanted:
            yield click(f"//option[text()={quoted(option.text)}]")
    yield SUBMIT


def boxes(sight: Sight) -> Policy:
    wanted = sight.said(r"Select (.*) and click Submit")[0].split(", ")
    for label in sight.find("//label"):
        if label.text_content() in wanted:
            yield by_id(label.find("input").get("id"))
    yield SUBMIT


def similar_boxes(sight: Sight) -> Policy:
    wanted = sight.said(r"similar to (.*) and click Submit")[0].split(", ")
    groups = [group for group in synonyms() if group & set(wanted)]
    for label in sight.find("//label"):
        if any(label.text_content() in group for group in groups):
            yield by_id(label.find("input").get("id"))
    yield SUBMIT


@cache
def synonyms() -> tuple[frozenset[str], ...]:
    """The word groups of the page itself."""
    source = pages.location(pages.package_html(), "click-checkboxes-soft").read_text(encoding="utf-8")
    table = source[source.index("var SYNONYMS") : source.index("var createCheckboxes")]
    rows = re.findall(r"\[([^\[\]]+)\]", table)
    return tuple(frozenset(re.findall(r"'([^']+)'", row)) for row in rows)


def collapsible(sight: Sight) -> Policy:
    del sight
    yield click("//h3")
    yield by_id("subbtn")


def hidden_link(sight: Sight) -> Policy:
    """Open the section or tab that holds a link, then click the link."""
    text = quoted(sight.said('the link "(.*)"')[0])
    link = next(iter(sight.find(f'//span[@class="alink" and text()={text}]')), None)
    if link is None:
        return
    panel = next(node.get("id") for node in link.iterancestors() if node.get("role") == "tabpanel")
    opener = sight.find(f'//*[@aria-controls="{panel}"]')[0]
    if opener.get("aria-expanded") != "true":
        inner = "/a" if opener.tag == "li" else ""
        yield click(f'//*[@aria-controls="{panel}"]{inner}')
    yield click(f'//*[@id="{panel}"]//span[@class="alink" and text()={text}]')


def link(sight: Sight) -> Policy:
    words = quoted(sight.said('the link "(.*)"')[0])
    yield click(f'//span[@class="alink" and text()={words}]')


def color(sight: Sight) -> Policy:
    name = sight.said("on the (.*) colored")[0]
    yield click(f'//div[@data-color="{name}"]')


def dialog(sight: Sight) -> Policy:
    label = sight.said('labeled "(.*)"')[0] or "x"
    if label == "x":
        yield click('//button[contains(@class,"ui-dialog-titlebar-close")]')
    else:
        yield click(f'//button[text()="{label}"]')


def menu(sight: Sight) -> Policy:
    *parents, leaf = sight.said("Select (.*)")[0].split(">")
    for name in parents:
        yield f"movemouse //*[text()={quoted(name)}]"
    yield click(f"//li//div[text()={quoted(leaf)}]")


def shades(sight: Sight) -> Policy:
    wanted = sight.said("shades of (.*) and press")[0]
    for n, span in enumerate(sight.find('//*[@id="area"]//span'), start=1):
        if span.get("data-color") == wanted:
            yield click(f'(//*[@id="area"]//span)[{n}]')
    yield SUBMIT


def fits(node: Any, description: str) -> bool:
    """Whether an svg node is what the words say: size, colour and kind, each if given."""
    kinds = {"rect": "rectangle", "circle": "circle", "polygon": "triangle"}
    text = kinds.get(node.tag) or node.text
    kind = "shape" if node.tag in kinds else "digit" if text.isdigit() else "letter"
    *words, noun = description.split()
    large = any(node.get(name) in ("20", "20px") for name in ("width", "font-size"))
    large = large or node.get("r") == "10" or (node.tag == "polygon" and _width(node) == 20)
    size = "large" if large else "small"
    return noun in ("item", text, kind) and all(word in (size, node.get("fill")) for word in words)


def _width(node: Any) -> float:
    columns = [float(point.split(",")[0]) for point in node.get("points").split()]
    return max(columns) - min(columns)


def shape(sight: Sight) -> Policy:
    wanted = sight.said("Click on a (.*)")[0]
    for n, node in enumerate(sight.find('//*[@id="area_svg"]/*'), start=1):
        if fits(node, wanted):
            yield click(f'(//*[@id="area_svg"]/*)[{n}]')


def count_shapes(sight: Sight) -> Policy:
    wanted = sight.said("How many (.*)s are there")[0]
    count = sum(fits(node, wanted) for node in sight.find('//*[@id="area_svg"]/*'))
    yield click(f'//button[text()="{count}"]')


def tab(sight: Sight) -> Policy:
    number = sight.said(r"Tab #(\d)")[0]
    yield click(f'//a[@href="#tabs-{number}"]')


def widget(sight: Sight) -> Policy:
    kind = sight.said('on a "(.*)" widget')[0]
    yield click(f'//*[@data-type="{kind}"]')


def mail(sight: Sight) -> Policy:
    """Star, delete, answer or forward a mail; the free-English pages say in fields what they want."""
    fields = dict(sight.fields)
    if not fields:
        fields["by"], task = sight.said(r"email by (\w+) and (reply|forward|click the \w+)")
        fields["task"] = {"click the trash": "delete", "click the star": "star"}.get(task, task)
        fields["message"] = sight.said('with the text "(.*)"')[0]
        fields["to"] = sight.said(r"email to (\w+)\.")[0]
    task = fields.get("task", "forward")
    senders = sight.find('//*[@id="main"]//div[@class="email-sender"]')
    index = next((n for n, sender in enumerate(senders) if sender.text == fields["by"]), 0)
    thread = f'//*[@id="main"]//div[@data-index="{index}"]'
    if task in ("delete", "star"):
        icon = "trash" if task == "delete" else "star"
        yield click(f'{thread}//span[@class="{icon}"]')
        return
    yield click(f'{thread}//div[@class="email-subject"]')
    yield click(f'//span[@class="email-{task}"]')
    if task == "reply":
        yield by_id("reply-text")
        yield f"type {fields['message']}"
    else:
        yield click('//input[@class="forward-sender"]')
        yield f"type {fields['to']}"
    yield by_id(f"send-{task}")


def date(sight: Sight) -> Policy:
    yield by_id("tt")
    yield "press arrowleft"
    yield "press arrowleft"
    yield "type " + "".join(sight.said(r"(\d+)/(\d+)/(\d+)"))
    yield SUBMIT


def time(sight: Sight) -> Policy:
    hour, minute, half = sight.said(r"(\d+):(\d+)\s*([AP]M)")
    yield by_id("tt")
    yield "press arrowleft"
    yield "press arrowleft"
    yield f"type {int(hour):02d}{minute}{half}"
    yield SUBMIT


def password(sight: Sight) -> Policy:
    text = sight.said('password "(.*)" into')[0]
    for name in ("password", "verify"):
        yield by_id(name)
        yield f"type {text}"
    yield by_id("subbtn")


def text(sight: Sight) -> Policy:
    yield by_id("tt")
    yield "type " + sight.said('Enter "(.*)" into')[0]
    yield by_id("subbtn")


def login(sight: Sight) -> Policy:
    name, word = sight.said('username "(.*)" and the password "(.*)" into')
    yield by_id("username")
    yield f"type {name}"
    yield by_id("password")
    yield f"type {word}"
    yield by_id("subbtn")


def focus(sight: Sight) -> Policy:
    place = sight.said(r"the (\d)")[0] or 1
    yield click(f"(//input)[{place}]")


def grid(sight: Sight) -> Policy:
    yield by_id(sight.said(r"coordinate (\(.*\))")[0])


def tree(sight: Sight) -> Policy:
    name = sight.said('named "(.*)"')[0]
    target = next(iter(sight.find(f'//*[@id="tree"]//span[text()="{name}"]')), None)
    if target is None:
        return
    above = [node.find("span") for node in target.getparent().iterancestors("li")]
    spans = sight.find('//*[@id="tree"]//span')
    for span in [*reversed(above), target]:
        yield click(f'(//*[@id="tree"]//span)[{spans.index(span) + 1}]')


def search(sight: Sight) -> Policy:
    query, place = sight.said(r'enter "(.*)" and press .* click the (\d)')
    yield by_id("search-text")
    yield f"type {query}"
    yield by_id("search")
    page = (int(place) - 1) // 3 + 1
    if page > 1:
        yield click(f'//*[@id="pagination"]//a[text()="{page}"]')
    yield click(f'//a[@data-result="{int(place) - 1}"]')


def algebra(sight: Sight) -> Policy:
    problem = sight.find('//*[@id="math-problem"]')[0].text
    left, sign, right, _, total = problem.split()
    known = int(right if left == "x" else left)
    rest = int(total) - known
    answer = rest if sign == "+" else int(total) + known if left == "x" else -rest
    yield by_id("math-answer")
    yield f"type {answer}"
    yield by_id("subbtn")


def post(sight: Sight) -> Policy:
    user, action = sight.said(r'user (\S+), click on the "(.*)" button')
    names = [node.text for node in sight.find('//span[@class="username"]')]
    media = f'(//div[@class="media"])[{names.index(user) + 1}]'
    if action in ("Reply", "Retweet", "Like"):
        yield click(f'{media}//span[@class="{action.lower()}"]')
        return
    yield click(f'{media}//span[@class="more"]')
    yield click(f'{media}//li[starts-with(text(),"{action}")]')


def posts(sight: Sight) -> Policy:
    action, amount, user = sight.said(r'the "(.*)" button on (all|\d+) posts? by (\S+) and')
    names = [node.text for node in sight.find('//span[@class="username"]')]
    places = [n for n, name in enumerate(names, start=1) if name == user]
    for n in places[: None if amount == "all" else int(amount)]:
        yield click(f'(//div[@class="media"])[{n}]//span[contains(@class,"{action.lower()}")]')
    yield SUBMIT


def terminal(sight: Sight) -> Policy:
    extension = sight.said(r"extension (\.\S+)")[0]
    yield by_id("terminal")
    yield "type ls"
    yield "press enter"
    files = sight.find('//span[@class="output"]')[-1].text.split()
    if extension:
        # The page looks for the first place of the extension's letters, so `shark.sh` does not count.
        bare = extension[1:]
        fitting = [name for name in files if name.endswith(extension)]
        fitting.sort(key=lambda name: name.index(bare) + len(bare) != len(name))
    else:
        fitting = [name for name in files if "." not in name]
    yield f"type rm {(fitting or files)[0]}"
    yield "press enter"


def spinner(sight: Sight) -> Policy:
    number = int(sight.said(r"Select (-?\d+) with")[0])
    way = "up" if number > 0 else "down"
    for _ in range(abs(number)):
        yield click(f'//a[contains(@class,"ui-spinner-{way}")]')
    yield by_id("subbtn")


POLICIES: dict[str, Callable[[Sight], Policy]] = {
    "choose-list": choose_list,
    "click-button": press_button,
    "click-button-sequence": two_buttons,
    "click-checkboxes": boxes,
    "click-checkboxes-large": boxes,
    "click-checkboxes-soft": similar_boxes,
    "click-checkboxes-transfer": boxes,
    "click-collapsible": collapsible,
    "click-collapsible-2": hidden_link,
    "click-color": color,
    "click-dialog": dialog,
    "click-dialog-2": dialog,
    "click-link": link,
    "click-menu": menu,
    "click-option": boxes,
    "click-scroll-list": scroll_list,
    "click-shades": shades,
    "click-shape": shape,
    "click-tab": tab,
    "click-tab-2": hidden_link,
    "click-tab-2-hard": hidden_link,
    "click-test": first_button,
    "click-test-2": first_button,
    "click-widget": widget,
    "count-shape": count_shapes,
    "email-inbox": mail,
    "email-inbox-forward-nl": mail,
    "email-inbox-forward-nl-turk": mail,
    "email-inbox-nl-turk": mail,
    "enter-date": date,
    "enter-password": password,
    "enter-text": text,
    "enter-text-dynamic": text,
    "enter-time": time,
    "focus-text": focus,
    "focus-text-2": focus,
    "grid-coordinate": grid,
    "login-user": login,
    "navigate-tree": tree,
    "search-engine": search,
    "simple-algebra": algebra,
    "social-media": post,
    "social-media-all": posts,
    "social-media-some": posts,
    "terminal": terminal,
    "use-spinner": spinner,
}
