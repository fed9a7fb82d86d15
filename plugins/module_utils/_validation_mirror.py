# Copyright: Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE)
"""Asks a Kubestead mirror what it holds."""

from __future__ import annotations

import json
import typing as t
from urllib.error import HTTPError, URLError
from urllib.request import ProxyHandler, build_opener

from ansible_collections.kubestead.cluster.plugins.module_utils._validation import Held, MirrorAnswer

TIMEOUT = 2.0


def ask(url: str) -> MirrorAnswer:
    """Return what the mirror at ``url`` says of itself, within seconds and never through a proxy."""
    address = url + "/index.json"
    try:
        with build_opener(ProxyHandler({})).open(address, timeout=TIMEOUT) as response:
            index = json.load(response)
    except HTTPError as error:
        return MirrorAnswer(address, None, f"HTTP {error.code}, so something else than a Kubestead mirror is there")
    except URLError as error:
        return MirrorAnswer(address, None, str(getattr(error.reason, "strerror", None) or error.reason).lower())
    except TimeoutError:
        return MirrorAnswer(address, None, f"no answer within {TIMEOUT:g} s")
    except (OSError, ValueError) as error:
        return MirrorAnswer(address, None, f"no index ({error})")
    if not isinstance(index, dict):
        return MirrorAnswer(address, None, "something else than a mirror's index")
    return MirrorAnswer(address, index)


def held(index: t.Mapping[str, t.Any]) -> t.Optional[Held]:
    """Return what ``index`` says that the mirror holds: by minor and name, the version or reference."""
    components = index.get("components")
    if not isinstance(components, list):
        return None
    parts: t.Dict[str, t.Dict[str, str]] = {}
    for one in components:
        if isinstance(one, dict):
            parts.setdefault(str(one.get("minor")), {})[str(one.get("name"))] = str(one.get("reference"))
    return parts
