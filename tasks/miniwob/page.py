"""One MiniWoB page in a browser: starting an instance, acting by coordinates, reading what it shows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import EnvironmentFault
from tasks.miniwob.action import MiniWobAction
from tasks.miniwob.protocol import View

if TYPE_CHECKING:
    from tasks._shared.browser import Tab

SCRIPT = Path(__file__).with_name("page.js")

MAX_TIME_MS = 10_000_000
"""No listed page may time out while a model thinks; rewards that decay keep their sign."""

MAX_KEYS = 1000
"""Characters one `type` sends; a reply of megabytes must not hold the browser for hours."""

MAX_HOVERS = 50

_KEYS = {
    "enter": "Enter",
    "space": " ",
    "arrowleft": "ArrowLeft",
    "arrowright": "ArrowRight",
    "arrowup": "ArrowUp",
    "arrowdown": "ArrowDown",
    "backspace": "Backspace",
}


class WobPage:
    """Drives one instance of one page.

    Args:
        beyond: also read what stands beside the page's own frame (dialogs).
    """

    def __init__(self, tab: Tab, url: str, *, beyond: bool) -> None:
        self.tab = tab
        self._url = url
        self._beyond = beyond
        self._armed = False

    async def start(self, seed: int, limit_ms: int = MAX_TIME_MS) -> View:
        """Load the page and start the instance of a seed, which the page ends after `limit_ms`.

        Raises:
            EnvironmentFault: the browser failed, or the page is not one of MiniWoB's.
        """
        if not self._armed:
            await self._evaluated(self.tab.context.add_init_script(path=SCRIPT))
            self._armed = True
        await self._evaluated(self.tab.page.goto(self._url, wait_until="load"))
        # Loading the scripts leaves 3 MB of garbage, a fifteenth of all that an episode takes.
        await self._evaluated(self.tab.page.request_gc())
        values = await self._run("start", seed, limit_ms, self._beyond)
        return View(**values)

    async def act(self, action: MiniWobAction) -> bool:
        """Carry out an action; False when what it names is not there.

        Actions follow the released scripts: an xpath that finds nothing visible does nothing.
        """
        if action.verb == "type":
            await self._keys(action.rest[:MAX_KEYS])
        elif action.verb == "press":
            key = _KEYS.get(action.rest.lower())
            if key is None:
                return False
            await self._evaluated(self.tab.page.keyboard.press(key))
        elif action.verb == "clickxpath":
            return await self._click(action.rest)
        elif action.verb == "clickoption":
            return (await self._run("option", action.rest))["how"] == "chosen"
        else:
            return await self._hover(action.rest)
        return True

    async def look(self, first: View, *, missed: bool) -> View:
        """Read the page once its reactions to the last action have come to rest."""
        values = await self._run("look", self._beyond)
        return View(**{"utterance": first.utterance, "fields": first.fields, **values}, missed=missed)

    async def _keys(self, text: str) -> None:
        typed = "".join(char for char in text if char == "\n" or char.isprintable())
        await self._evaluated(self.tab.page.keyboard.type(typed))

    async def _click(self, xpath: str) -> bool:
        found = await self._run("target", xpath)
        if found["how"] == "point":
            if found["moving"]:
                await self._evaluated(self.tab.page.mouse.move(found["x"], found["y"]))
                await self._run("settle")
            await self._evaluated(self.tab.page.mouse.click(found["x"], found["y"]))
        elif found["how"] == "enter":
            await self._evaluated(self.tab.page.keyboard.press("Enter"))
        return found["how"] in ("point", "enter", "chosen")

    async def _hover(self, xpath: str) -> bool:
        for index in range(MAX_HOVERS):
            found = await self._run("hover", xpath, index)
            if found["how"] == "end":
                return True
            if found["how"] != "point":
                return False
            await self._evaluated(self.tab.page.mouse.move(found["x"], found["y"]))
        return True

    async def _run(self, name: str, *values: Any) -> dict[str, Any]:
        """Call one function of `page.js`."""
        code = f"values => harnessPage.{name}(...values)"
        return await self._evaluated(self.tab.page.evaluate(code, list(values)))

    async def _evaluated(self, work: Any) -> Any:
        from playwright.async_api import Error

        try:
            return await self.tab.call(work)
        except Error as error:
            raise EnvironmentFault(f"{self._url}: {error.message.splitlines()[0]}") from error
