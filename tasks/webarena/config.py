"""Where the real sites are and how they are restored: from the environment, else from webarena.toml."""

from __future__ import annotations

import os
import shlex
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.errors import DataError
from tasks.webarena.sites import SITES, SiteMap, origin

FILE = "webarena.toml"
NAMED = "HARNESS_WEBARENA"
"""Environment variable with the path of another file."""

EDITIONS = ("2023", "slim", "other")
KEYS = ("sites", "allow", "edition", "reset_cmd", "full_reset", "control")

FIX = (
    f"write the seven addresses into {FILE} under [sites] ({', '.join(SITES)}), or set the variables "
    f"{', '.join(name.upper() for name in SITES)}; docker/webarena/ starts the sites"
)


@dataclass(frozen=True, slots=True)
class ArenaConfig:
    """The deployment of the sites.

    Attributes:
        sites: their addresses; only those that are known.
        edition: `2023` for the images of that year; `slim` has another wiki and another map.
        reset_cmd: command that restores a site; `{site}` in it is the site's name.
        full_reset: address of a server that restores all sites at once (`/reset`, `/status`).
        control: address of the control server beside each site (`/reset`, `/health`).
    """

    sites: SiteMap
    edition: str = "2023"
    reset_cmd: str = ""
    full_reset: str = ""
    control: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def unknown(self) -> tuple[str, ...]:
        """Sites without an address."""
        return tuple(site for site in SITES if site not in self.sites.real)


def load(*, legacy: bool = False) -> ArenaConfig:
    """Read the deployment; variables go before the file.

    Raises:
        DataError: the file has an unknown key, a value that is no address or no command, or lacks a site.
    """
    path = Path(os.environ.get(NAMED) or FILE)
    table = _table(path) if path.is_file() or NAMED in os.environ else {}
    given = {name: os.environ.get(name.upper()) or os.environ.get(f"WA_{name.upper()}") for name in SITES}
    real = {**table.get("sites", {}), **{name: url for name, url in given.items() if url}}
    for name, url in real.items():
        if origin(str(url)) is None:
            raise DataError(f"{name} is at {url!r}, which is no http address: {FIX}")
    control = {name: url.rstrip("/") for name, url in table.get("control", {}).items()}
    full = os.environ.get("WA_FULL_RESET") or table.get("full_reset", "")
    if full and origin(full) is None:
        raise DataError(f"WA_FULL_RESET is {full!r}, which is no http address")
    ordered = {name: real[name].rstrip("/") for name in SITES if name in real}
    sites = SiteMap(ordered, tuple(table.get("allow", ())), legacy)
    return ArenaConfig(
        sites, table.get("edition", "2023"), table.get("reset_cmd", ""), full.rstrip("/"), control
    )


def _table(path: Path) -> dict[str, Any]:
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    _known(path, table, KEYS)
    sites = table.get("sites", {})
    if not isinstance(sites, dict):
        raise DataError(f"{path}: [sites] must be a table of addresses: {FIX}")
    _known(path, sites, SITES)
    if missing := [name for name in SITES if name not in sites]:
        raise DataError(f"{path}: [sites] lacks {', '.join(missing)}: {FIX}")
    _known(path, table.get("control", {}), SITES)
    if table.get("edition", "2023") not in EDITIONS:
        raise DataError(f"{path}: edition must be one of {', '.join(EDITIONS)}")
    _refuse_wrong_ways(path, table)
    return table


def _refuse_wrong_ways(path: Path, table: Mapping[str, Any]) -> None:
    """Refuse a way to restore sites that could only fail, when it is needed."""
    line = table.get("reset_cmd", "")
    try:
        words = shlex.split(line) if isinstance(line, str) else []
    except ValueError:
        words = []
    if "reset_cmd" in table and not words:
        raise DataError(
            f'{path}: reset_cmd must be a command as a shell would read it, such as "reset {{site}}"'
        )
    named = [(f"control.{site}", url) for site, url in table.get("control", {}).items()]
    named += [("full_reset", url) for url in (table.get("full_reset"),) if url]
    named += [("allow", url) for url in table.get("allow", ())]
    for name, url in named:
        if origin(str(url)) is None:
            raise DataError(f"{path}: {name} is {url!r}, which is no http address")


def _known(path: Path, table: Mapping[str, Any], keys: tuple[str, ...]) -> None:
    if unknown := [name for name in table if name not in keys]:
        raise DataError(f"{path} has the unknown key {unknown[0]!r}; known are {', '.join(keys)}")
