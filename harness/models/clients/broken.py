"""Names what broke a request on its way: the server, a proxy, a certificate, or this process's own limits."""

from __future__ import annotations

import errno
import os
import ssl

import aiohttp

from harness.models.network import Proxy, certificate_fix
from harness.models.pool.faults import Fault

_NO_FILES = (errno.EMFILE, errno.ENFILE)
# OpenSSL's codes for certificates whose signer is not among the trusted ones.
_UNKNOWN_SIGNER = (2, 18, 19, 20, 21)
# Where a proxy carries the request, the name that is not found is the proxy's.
_PROXY_ERRORS = (
    aiohttp.ClientProxyConnectionError,
    aiohttp.ClientHttpProxyError,
    aiohttp.ClientConnectorDNSError,
)


def broken(error: Exception, url: str, *, waited_s: float, proxy: Proxy | None) -> Fault:
    """Turn an exception of a request into the fault it stands for.

    Args:
        error: whatever aiohttp raised, over a connection or over what the server sent.
        url: of the request.
        waited_s: seconds without a byte after which a request is given up.
        proxy: that was to carry the request.
    """
    if isinstance(error, aiohttp.SocketTimeoutError):
        return Fault("timeout", f"{url} sent nothing for {waited_s:g} s")
    if isinstance(error, TimeoutError):
        fix = "start it, or write http:// if it does not speak https" if url.startswith("https:") else ""
        return Fault("timeout", f"{url} came to no end in time", fix=fix)
    if isinstance(error, OSError) and _out_of_files(error):
        fix = "raise it (ulimit -n 4096) or lower --concurrency"
        return Fault("files", "too many open files here", fix=fix, ejects=False, in_a_row=None)
    if isinstance(error, _PROXY_ERRORS) and proxy:
        return _of_proxy(error, url, proxy)
    if isinstance(error, aiohttp.ClientSSLError):
        return _of_encryption(error, url)
    if isinstance(error, aiohttp.ClientConnectorError):
        return Fault("connection", f"{url}: cannot connect to {error.host}:{error.port}")
    if isinstance(error, aiohttp.ClientResponseError):  # what it quotes may be half of a key
        reason = error.message.partition(":")[0]
        return Fault("connection", f"{url} sent no valid HTTP: {type(error).__name__}: {reason}")
    if isinstance(error, aiohttp.ClientError | OSError):
        return Fault("connection", f"{url}: {type(error).__name__}: {error}")
    return Fault("protocol", f"{url}: {type(error).__name__}: {error}")


def unknown_to_proxy(proxy: Proxy) -> Fault:
    """The fault of a proxy that wants to know who asks (status 407)."""
    shown = f"the proxy {proxy.url} ({proxy.variable}) wants a user and a password"
    return Fault("proxy", shown, fix=f"write both before its host in {proxy.variable}")


def _of_proxy(error: Exception, url: str, proxy: Proxy) -> Fault:
    fix = f"correct {proxy.variable}, or add the server's host to NO_PROXY"
    if not isinstance(error, aiohttp.ClientHttpProxyError):
        return Fault("proxy", f"{url}: cannot reach the proxy {proxy.url} ({proxy.variable})", fix=fix)
    if error.status == 407:
        return unknown_to_proxy(proxy)
    text = f"{url}: the proxy {proxy.url} ({proxy.variable}) does not connect to it ({error.status})"
    return Fault("proxy", text, fix=fix)


def _of_encryption(error: aiohttp.ClientSSLError, url: str) -> Fault:
    cause = error.__cause__
    if not isinstance(cause, ssl.SSLCertVerificationError):
        fix = "write http:// if it does not speak https"
        return Fault("certificate", f"{url}: no encrypted connection ({_reason(cause)})", fix=fix)
    if cause.verify_code in _UNKNOWN_SIGNER:
        text = f"{url}: its certificate is not trusted ({cause.verify_message})"
        return Fault("certificate", text, fix=certificate_fix())
    text = f"{url}: its certificate is not valid ({cause.verify_message})"
    return Fault("certificate", text, fix="renew it, or write the name it was made for")


def _reason(error: BaseException | None) -> str:
    named = error.reason if isinstance(error, ssl.SSLError) else ""
    return (named or type(error).__name__).replace("_", " ").lower()


def _out_of_files(error: OSError) -> bool:
    """Whether this process may open no more files; a look-up of a name loses the error's number."""
    if error.errno in _NO_FILES:
        return True
    if not isinstance(error, aiohttp.ClientConnectorError):
        return False
    try:
        os.close(os.dup(2))
    except OSError as own:
        return own.errno in _NO_FILES
    return False
