# Copyright (c) 2026, Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How servers of a cluster are met over TLS: with its authority, or as a stranger."""

from __future__ import annotations

import ssl
import typing as t


def trusting(cafile: t.Optional[str] = None, cadata: t.Optional[str] = None) -> ssl.SSLContext:
    """A context that accepts what this authority, a file or PEM text, has signed."""
    context = ssl.create_default_context(cafile=cafile, cadata=cadata)
    # Since 3.13 Python refuses authorities without a key identifier, which users may bring.
    context.verify_flags &= ~getattr(ssl, "VERIFY_X509_STRICT", 0)
    return context


def unverified() -> ssl.SSLContext:
    """A context that accepts any server, for questions whose answer is checked otherwise, or needs no check. Tell it no secret."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
