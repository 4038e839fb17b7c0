"""TLS: which certificates a client trusts, and which one it shows. No I/O but reading them."""

from __future__ import annotations

import os
import ssl
from functools import lru_cache
from pathlib import Path
from typing import Final

import httpx

from evrun._transport.settings import is_path
from evrun._transport.short_repr import short_repr
from evrun.errors import ConfigurationError

TRUSTED: Final = ("SSL_CERT_FILE", "SSL_CERT_DIR")
"""The variables that say which certificates to trust."""


def check(verify: object, cert: object) -> None:
    """Raise `ConfigurationError` if these cannot be the arguments of `context`."""
    if not (isinstance(verify, bool | ssl.SSLContext) or _is_text_path(verify)):
        raise ConfigurationError(
            f"verify={short_repr(verify)}: expected a bool, a path as a str, or an ssl.SSLContext."
        )
    pair = cert if isinstance(cert, tuple) and len(cert) == 2 else (cert,)  # noqa: PLR2004
    if cert is not None and not all(map(_is_text_path, pair)):
        raise ConfigurationError(
            "cert: expected a path as a str, or a pair of them (certificate, key). If the key has "
            "a password, load both into an ssl.SSLContext, and pass that as verify=…."
        )
    if cert is not None and isinstance(verify, ssl.SSLContext):
        raise ConfigurationError(
            "cert=… has no effect beside verify=<SSLContext>: call its load_cert_chain(…) instead."
        )


def check_environment() -> None:
    """Raise `ConfigurationError` if a variable names no file or folder.

    OpenSSL ignores a folder that does not exist.
    """
    file, folder = map(os.environ.get, TRUSTED)
    if file and not Path(file).is_file():
        raise ConfigurationError(
            f"SSL_CERT_FILE={file!r} is not a file. Set it to a file of certificates in PEM form, "
            "or unset it."
        )
    if folder and not file and not any(Path(each).is_dir() for each in folder.split(os.pathsep)):
        raise ConfigurationError(
            f"SSL_CERT_DIR={folder!r} is not a folder. Set it to a folder of certificates that "
            "`openssl rehash` was run in, or unset it."
        )


def context(
    verify: bool | str | ssl.SSLContext,  # noqa: FBT001 - httpx's own argument
    cert: str | tuple[str, str] | None,
    *,
    trust_env: bool,
) -> ssl.SSLContext:
    """Return the TLS context; clients with the same settings share one."""
    if isinstance(verify, ssl.SSLContext):
        return verify
    trusted = tuple(map(os.environ.get, TRUSTED)) if trust_env else ()
    pair = (cert,) if isinstance(cert, str) else cert or ()
    files = (verify if isinstance(verify, str) else None, *pair, *trusted)
    return _loaded(verify, cert, trusted, tuple(map(_changed_at, files)))


@lru_cache(maxsize=16)
def _loaded(
    verify: bool | str,  # noqa: FBT001 - httpx's own argument
    cert: str | tuple[str, str] | None,
    trusted: tuple[str | None, ...],
    _changed: tuple[int | None, ...],
) -> ssl.SSLContext:
    """Return a context. `trusted` holds what it depends on besides: the environment's certificates.

    `_changed` is there to tell renewed files, which a long-lived process meets, from the old ones.
    httpx's own `verify=<str>` and `cert=` are deprecated; these are what it says to do instead.
    """
    try:
        if isinstance(verify, str):
            folder = Path(verify).is_dir()
            context = ssl.create_default_context(
                capath=verify if folder else None, cafile=None if folder else verify
            )
        else:
            context = httpx.create_ssl_context(verify=verify, trust_env=bool(trusted))
        if cert is not None:
            context.load_cert_chain(*((cert,) if isinstance(cert, str) else cert))
    except OSError as error:
        settings = {"verify": verify if isinstance(verify, str) else None, "cert": cert}
        if verify is True:
            settings |= dict(zip(TRUSTED, trusted, strict=False))
        named = [f"{name}={value!r}" for name, value in settings.items() if value]
        raise ConfigurationError(
            f"{', '.join(named)}: cannot be loaded ({error}). verify is a file or folder of "
            "certificates in PEM form; cert is a PEM file with the key, or a pair."
        ) from error
    return context


def _is_text_path(value: object) -> bool:
    return isinstance(value, str) and is_path(value)


def _changed_at(path: str | None) -> int | None:
    try:
        return None if path is None else Path(path).stat().st_mtime_ns
    except OSError:
        return None  # loading it says what is wrong
