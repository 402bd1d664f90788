"""Do the values of a configuration fit the annotations of a constructor?"""

import builtins
import inspect
import types
from collections import ChainMap, abc, defaultdict
from collections.abc import Iterator, Mapping
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text", type(None): "null"}
UNIONS = (Union, types.UnionType)
LISTS = (list, tuple, abc.Sequence, abc.Collection, abc.Iterable)
MAPPINGS = (dict, abc.Mapping)


def misfits(kind: type, given: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yields the name and the rule of each given argument that does not fit its annotation.

    An annotation with a class that YAML cannot express always fits: the class must check it. So do defaults, whatever
    their annotation says.

    Example:
        >>> class Warm:
        ...     def __init__(self, steps: int | None, betas: tuple[float, float] = (0.9, 0.999)) -> None: ...
        >>> list(misfits(Warm, {"steps": None, "betas": [1, 0.5]}))
        []
        >>> list(misfits(Warm, {"steps": 1.5, "betas": 0.9}))
        [('steps', 'a whole number or null'), ('betas', 'a list of 2, each value a number')]
    """
    for name, (hint, default) in _arguments(kind).items():
        if name in given and not (fits(given[name], hint) or given[name] == default):
            yield name, rule_of(hint)


def _arguments(kind: type) -> dict[str, tuple[Any, Any]]:
    """Returns annotation and default of each argument, those of the base class included where ``**options`` pass on."""
    found: dict[str, tuple[Any, Any]] = {}
    for owner in kind.__mro__:
        constructor = vars(owner).get("__init__")
        if not inspect.isfunction(constructor):
            continue
        parameters, hints = inspect.signature(constructor).parameters, _hints(constructor)
        found = {name: (hints[name], parameters[name].default) for name in parameters if name in hints} | found
        if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
            break
    return found


def _hints(function: types.FunctionType) -> dict[str, Any]:
    """Returns annotations as types; names imported for type checkers alone become Any."""
    known = inspect.unwrap(function).__globals__
    scope = ChainMap(known, vars(builtins), defaultdict(lambda: Any))
    try:
        return get_type_hints(function, localns=scope)
    except (NameError, TypeError, AttributeError):  # an annotation that cannot be read as a type
        return {}


def fits(value: Any, hint: Any) -> bool:
    """Returns whether a value of a configuration fits an annotation; one with a class that YAML lacks always fits."""
    origin, parts = get_origin(hint), get_args(hint)
    if isinstance(value, dict) and "_target_" in value:  # an object by the time the constructor gets it
        return True
    if origin in UNIONS:
        return any(fits(value, part) for part in parts)
    if origin is Literal:
        return value in parts
    if origin in LISTS or hint in LISTS:
        return isinstance(value, list | tuple) and _list_fits(value, origin, parts)
    if origin in MAPPINGS or hint in MAPPINGS:
        return isinstance(value, dict)
    if hint in (int, float):
        return isinstance(value, int | hint) and not isinstance(value, bool)
    return hint not in WORDS or isinstance(value, hint)


def _list_fits(value: list[Any] | tuple[Any, ...], origin: Any, parts: tuple[Any, ...]) -> bool:
    if _is_fixed(origin, parts):
        return len(value) == len(parts) and all(map(fits, value, parts))
    return all(fits(one, part) for one in value for part in parts[:1])


def _is_fixed(origin: Any, parts: tuple[Any, ...]) -> bool:
    """Is the annotation a tuple of fixed length?"""
    return origin is tuple and Ellipsis not in parts


def rule_of(hint: Any) -> str:
    """Returns what a value with that annotation must be, in words."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin in UNIONS:
        return " or ".join(rule_of(part) for part in parts if not (part is int and float in parts))
    if origin is Literal:
        return " or ".join(map(repr, parts))
    if origin in LISTS or hint in LISTS:
        length = f" of {len(parts)}" if _is_fixed(origin, parts) else ""
        return f"a list{length}{f', each value {rule_of(parts[0])}' if parts and parts[0] in WORDS else ''}"
    if origin in MAPPINGS or hint in MAPPINGS:
        return "a mapping"
    return WORDS.get(hint, getattr(hint, "__name__", str(hint)))
