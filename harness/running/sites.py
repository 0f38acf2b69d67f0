"""Names of sites, one for each however its address is written, and how samples are divided by them."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import replace
from urllib.parse import urlsplit

from harness.errors import MissingPart
from harness.types import Sample

SITE = "site:"
"""Names that begin so are locked between processes as well."""

_PORTS = {"http": 80, "https": 443}


def site_name(name: str) -> str:
    """One name for all ways to write a site's address: loopback hosts, a default port, a closing slash."""
    if not name.startswith(SITE):
        return name
    try:
        parts = urlsplit(name.removeprefix(SITE))
        host, port = parts.hostname, parts.port
    except ValueError:
        return name
    if not host:
        return name
    host = "localhost" if _is_this_machine(host) else f"[{host}]" if ":" in host else host
    place = host if port in (None, _PORTS.get(parts.scheme)) else f"{host}:{port}"
    return f"{SITE}{parts.scheme}://{place}{parts.path.rstrip('/')}"


def _is_this_machine(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def with_site_names(sample: Sample) -> Sample:
    """The sample with the one name of each site that it needs."""
    locks, shares = (tuple(map(site_name, names)) for names in (sample.locks, sample.shares))
    if (locks, shares) == (sample.locks, sample.shares):
        return sample
    return replace(sample, locks=locks, shares=shares)


def part(whole: Sequence[Sample], shard: tuple[int, int] | None) -> list[Sample]:
    """The samples of one shard; samples that share a site, directly or through others, are in the same shard.

    Args:
        whole: samples with the names that `with_site_names` gives.
        shard: (i, n) for the i-th of n parts, counted from 1; None for all samples.

    Raises:
        MissingPart: there are fewer groups of sites than parts, so that two machines would share a site.
    """
    if shard is None:
        return list(whole)
    index, count = shard
    together, free = _groups(whole)
    if together and len(together) < count:
        raise MissingPart(_too_many(index, count, len(together)))
    units = [*sorted(together, key=len, reverse=True), *([place] for place in free)]
    loads, mine = [0] * count, list[int]()
    for unit in units:
        least = loads.index(min(loads))
        loads[least] += len(unit)
        if least == index - 1:
            mine += unit
    return [whole[place] for place in sorted(mine)]


def _too_many(index: int, count: int, groups: int) -> str:
    way = f"--shard i/{groups}" if groups > 1 else "no --shard"
    return (
        f"--shard {index}/{count} would put one site on two machines, as its samples can be divided by site "
        f"into {groups} part{'s' * (groups > 1)} at most; play it in a command of its own with {way}"
    )


def _groups(samples: Sequence[Sample]) -> tuple[list[list[int]], list[int]]:
    """Places of the samples that belong together, and of those that need no site."""
    joined: dict[str, frozenset[str]] = {}
    needed = [_sites(sample) for sample in samples]
    for sites in needed:
        union = sites.union(*(joined.get(site, frozenset()) for site in sites))
        joined.update(dict.fromkeys(union, union))
    groups: dict[frozenset[str], list[int]] = {}
    free: list[int] = []
    for place, sites in enumerate(needed):
        if sites:
            groups.setdefault(joined[next(iter(sites))], []).append(place)
        else:
            free.append(place)
    return list(groups.values()), free


def _sites(sample: Sample) -> frozenset[str]:
    return frozenset(name for name in (*sample.locks, *sample.shares) if name.startswith(SITE))
