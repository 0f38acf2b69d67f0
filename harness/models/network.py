"""How requests leave this machine: which proxy carries them, and whose certificates are trusted."""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import unquote, urlsplit

from harness.errors import UsageError
from harness.models import outside

CA_VARIABLE = "HARNESS_CA"
"""Environment variable that names a file of certificates trusted besides the system's; `--ca` sets it."""


@dataclass(frozen=True, slots=True)
class Proxy:
    """An HTTP proxy that the environment names.

    Attributes:
        url: without user and password.
        user: empty when the proxy needs none.
        password: of that user.
        variable: the environment variable that names it.
    """

    url: str
    user: str
    password: str = field(repr=False)
    variable: str


def proxy_for(url: str) -> Proxy | None:
    """Find the proxy that `HTTP_PROXY`, `HTTPS_PROXY` or `ALL_PROXY` names for a URL.

    Returns:
        None when there is none, `NO_PROXY` excepts the host, or the URL is on this machine.

    Raises:
        UsageError: a proxy of another kind than http and https, or no address.
    """
    target = urlsplit(url)
    variable = _variable(f"{target.scheme}_proxy") or _variable("all_proxy")
    if variable is None or _loopback(target.hostname or "") or _excepted(url):
        return None
    named = os.environ[variable].strip()
    try:
        parts = urlsplit(named if "://" in named else f"http://{named}")
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        fix = "write http://host:port, or add the host to NO_PROXY"
        raise UsageError(f"{variable} names no HTTP proxy; {fix}")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    password = unquote(parts.password or "")
    outside.register(password)
    place = f"{parts.scheme}://{host}" + (f":{port}" if port else "")
    return Proxy(place, unquote(parts.username or ""), password, variable)


def trusted() -> ssl.SSLContext | bool:
    """Trust the system's certificates (or those of `SSL_CERT_FILE`) and those of `--ca`.

    Returns:
        True, which is aiohttp's own default, where neither was given.

    Raises:
        UsageError: the file given by `--ca` cannot be read, or holds no certificate.
    """
    name = os.environ.get(CA_VARIABLE)
    if not name and "SSL_CERT_FILE" not in os.environ:
        return True
    return _trusting(name, os.environ.get("SSL_CERT_FILE"))


@lru_cache(maxsize=8)
def _trusting(name: str | None, system: str | None) -> ssl.SSLContext:
    """Read the certificates once for a process: the system's take 25 ms each time.

    Args:
        name: of the file that `--ca` gives; None without one.
        system: what `SSL_CERT_FILE` says, which OpenSSL reads itself: with another one they are read anew.
    """
    context = ssl.create_default_context()
    if not name:
        return context
    try:
        context.load_verify_locations(cafile=name)
    except ssl.SSLError:
        text = "holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)"
        raise UsageError(f"--ca {name} {text}") from None
    except OSError as error:
        raise UsageError(f"--ca {name} cannot be read: {error.strerror}") from None
    return context


def certificate_fix() -> str:
    """Say how to have a server's certificate trusted."""
    named = os.environ.get("SSL_CERT_FILE")
    lost = f" (SSL_CERT_FILE names {named}, which is not there)"
    told = lost if named and not Path(named).is_file() else ""
    return f"give --ca FILE, the certificate of who signed it, in PEM form{told}"


def _variable(name: str) -> str | None:
    """The spelling under which a variable is set; lower case wins, as everywhere."""
    return next((one for one in (name, name.upper()) if os.environ.get(one, "").strip()), None)


def _loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _excepted(url: str) -> bool:
    from requests.utils import should_bypass_proxies

    return bool(should_bypass_proxies(url, no_proxy=None))
