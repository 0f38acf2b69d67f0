"""Scripts for pages that play a mailbox, social media, a search engine, a file tree or a terminal."""

from __future__ import annotations

from tasks.miniwob.policies.sight import SUBMIT, PageContent, Policy, by_id, click


def mail(sight: PageContent) -> Policy:
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


def tree(sight: PageContent) -> Policy:
    name = sight.said('named "(.*)"')[0]
    target = next(iter(sight.find(f'//*[@id="tree"]//span[text()="{name}"]')), None)
    if target is None:
        return
    above = [node.find("span") for node in target.getparent().iterancestors("li")]
    spans = sight.find('//*[@id="tree"]//span')
    for span in [*reversed(above), target]:
        yield click(f'(//*[@id="tree"]//span)[{spans.index(span) + 1}]')


def search(sight: PageContent) -> Policy:
    query, place = sight.said(r'enter "(.*)" and press .* click the (\d)')
    yield by_id("search-text")
    yield f"type {query}"
    yield by_id("search")
    page = (int(place) - 1) // 3 + 1
    if page > 1:
        yield click(f'//*[@id="pagination"]//a[text()="{page}"]')
    yield click(f'//a[@data-result="{int(place) - 1}"]')


def post(sight: PageContent) -> Policy:
    user, action = sight.said(r'user (\S+), click on the "(.*)" button')
    names = [node.text for node in sight.find('//span[@class="username"]')]
    media = f'(//div[@class="media"])[{names.index(user) + 1}]'
    if action in ("Reply", "Retweet", "Like"):
        yield click(f'{media}//span[@class="{action.lower()}"]')
        return
    yield click(f'{media}//span[@class="more"]')
    yield click(f'{media}//li[starts-with(text(),"{action}")]')


def posts(sight: PageContent) -> Policy:
    action, amount, user = sight.said(r'the "(.*)" button on (all|\d+) posts? by (\S+) and')
    names = [node.text for node in sight.find('//span[@class="username"]')]
    places = [n for n, name in enumerate(names, start=1) if name == user]
    for n in places[: None if amount == "all" else int(amount)]:
        yield click(f'(//div[@class="media"])[{n}]//span[contains(@class,"{action.lower()}")]')
    yield SUBMIT


def terminal(sight: PageContent) -> Policy:
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
