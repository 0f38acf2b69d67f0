"""Which account a database server runs under, and where its folder is made."""

from __future__ import annotations

import os
import pwd
import tempfile
from pathlib import Path
from typing import Any

from tasks._shared.reachable import reachable_folder


def server_account() -> pwd.struct_passwd | None:
    """The account of the server: mysql or nobody where we are root, else our own."""
    if os.geteuid():
        return None
    for name in ("mysql", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    return None


def base(account: pwd.struct_passwd | None) -> str:
    """Where a server's folder is made: the temporary folder, or /tmp where that is closed to its account.

    The path of a socket may have 107 bytes, so a run's own scratch folder may be too deep.
    """
    wanted = reachable_folder() if account else tempfile.gettempdir()
    return wanted if len(wanted) < 60 else "/tmp"


def add_data(folder: Path, account: pwd.struct_passwd | None) -> None:
    """Add the data folder and give both to the server's account."""
    (folder / "data").mkdir()
    if account:
        for path in (folder, folder / "data"):
            os.chown(path, account.pw_uid, account.pw_gid)


def identity(account: pwd.struct_passwd | None) -> dict[str, Any]:
    """Arguments that start a process as an account."""
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []} if account else {}
