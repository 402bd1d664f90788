"""Finds likely passwords and API keys by name or form, and leaves them out of messages and files."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from typing import Any

LEFT_OUT = "<left out>"
_NAMES = r"api_?keys?|access_?keys?|secret_?keys?|private_?keys?|secrets?|passwords?|passwd|credentials?|auth_?tokens?"
# A "token" is mostly a word piece here, so it counts only as the last word of a longer name that says whose it is.
_TOKENS = (
    r"(?:access|api|auth|bearer|bot|git\w*|hf|hub|mlflow|personal|private|refresh|secret|session|user|wandb)_?token"
)
_SECRET_NAME = re.compile(rf"(?:^|[\W_])(?:{_NAMES}|{_TOKENS})$", re.IGNORECASE)
_ASSIGNMENT = rf"""((?<![a-z])(?:{_NAMES}|{_TOKENS})["'`]?\s*(?:=|:(?!:))\s*)"""
_QUOTED = r"""(["'])(?!\$\{)[^"'\n]+\2"""
_ASSIGNED = re.compile(rf"""{_ASSIGNMENT}(?:{_QUOTED}|[^\s,;'")(\]}}$]+)""", re.IGNORECASE)
# In code, a word without a digit is a type or a variable.
_LITERAL = re.compile(rf"""{_ASSIGNMENT}(?:{_QUOTED}|(?=[\w+/.=-]*\d)[\w+/=-]{{4,}}(?![\w.(\[]))""", re.IGNORECASE)
_FORMS = re.compile(
    r"""hf_[A-Za-z0-9]{20,}
    | \bsk-[A-Za-z0-9_-]{20,}
    | \bgh[oprsu]_[A-Za-z0-9]{20,} | \bgithub_pat_\w{20,} | \bglpat-[\w-]{15,}
    | \bAKIA[0-9A-Z]{16}\b
    | \bxox[abprs]-[\w-]{10,}
    | \bAIza[\w-]{30,}
    | \beyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]{10,}
    | (?<=://)[^/\s:@'"]+:[^/\s@'"]+(?=@)
    | -----BEGIN\ [A-Z ]*PRIVATE\ KEY-----.*?(?:-----END\ [A-Z ]*PRIVATE\ KEY-----|\Z)""",
    re.VERBOSE | re.DOTALL,
)
_MIN_LENGTH = 6  # of a secret that is looked for in any text: a shorter one could be a part of ordinary words


def looks_secret(name: object) -> bool:
    """Returns whether a value of that name, such as ``logger.wandb.api_key``, is probably a secret.

    Example:
        >>> looks_secret("WANDB_API_KEY"), looks_secret("cls_token"), looks_secret("data.keys")
        (True, False, False)
    """
    return bool(_SECRET_NAME.search(str(name)))


def shown(name: object, value: object) -> str:
    """Returns ``repr(value)`` for a message, without what looks secret in it."""
    return LEFT_OUT if value is not None and looks_secret(name) else redacted(repr(_without(value)))


def redacted(text: str) -> str:
    """Returns ``text`` without what looks secret: values of secret names, and what has the form of a key.

    Example:
        >>> redacted("+logger.wandb.api_key=abc is refused")
        '+logger.wandb.api_key=<left out> is refused'
    """
    return _FORMS.sub(LEFT_OUT, _ASSIGNED.sub(rf"\g<1>{LEFT_OUT}", text))


def redacted_code(text: str) -> str:
    """Returns source code or a configuration file as `redacted` does, but keeps types and variables.

    Example:
        >>> redacted_code("def login(password: str, api_key='0123')")
        'def login(password: str, api_key=<left out>)'
    """
    return _FORMS.sub(LEFT_OUT, _LITERAL.sub(rf"\g<1>{LEFT_OUT}", text))


def redacted_message(text: str, words: Iterable[str] = ()) -> str:
    """Returns ``text`` as `redacted` does, and without the secrets of the environment and of the command line.

    Args:
        text: To be printed or stored.
        words: The arguments of the command, such as ``key=value``.
    """
    typed = (word.partition("=") for word in words)
    known = [value for name, _, value in typed if looks_secret(name)]
    known += [value for name, value in os.environ.items() if looks_secret(name) or name.upper().endswith("TOKEN")]
    for secret in sorted(filter(lambda value: len(value) >= _MIN_LENGTH, known), key=len, reverse=True):
        text = text.replace(secret, LEFT_OUT)
    return redacted(text)


def _without(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: LEFT_OUT if looks_secret(key) and entry else _without(entry) for key, entry in value.items()}
    return [_without(entry) for entry in value] if isinstance(value, list) else value
