"""Types of constructors' arguments, read from the source: a wrong type is refused before torch is imported."""

from __future__ import annotations

import ast
import contextlib
import typing
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from clsnorm.config.types import WORDS, fits, rule_of

Definition = ast.ClassDef | ast.FunctionDef | ast.Assign
PACKAGE = Path(__file__).parents[1]
KNOWN = {hint.__name__: hint for hint in WORDS if hint is not type(None)} | {
    "None": None,
    "Literal": typing.Literal,
    **{kind.__name__: kind for kind in (list, tuple, dict)},
}


def source_misfits(target: object, given: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yields the name and the rule of each given argument that does not fit its annotation.

    As `clsnorm.config.types.misfits`, without an import. A class of another package, or an annotation that names a
    class, always fits: it is checked once the class is imported.
    """
    arguments = _arguments(target) if isinstance(target, str) and target.startswith("clsnorm.") else {}
    for name, (hint, default) in arguments.items():
        if name in given and not (fits(given[name], hint) or given[name] == default):
            yield name, rule_of(hint)


@cache
def _arguments(target: str) -> dict[str, tuple[Any, Any]]:
    """Returns annotation and default of each argument, those of the first base class included where they are passed on.

    Empty if the class is not found in this package.
    """
    module, kind = definition(*target.rpartition(".")[::2]) or ("", None)
    if not isinstance(kind, ast.ClassDef):
        return {}
    own: dict[str, tuple[Any, Any]] = {}
    for node in kind.body:
        if isinstance(node, ast.FunctionDef) and node.name == "__init__":
            own = dict(_annotated(node.args))
            if node.args.kwarg is None:
                return own
    base = kind.bases[0] if kind.bases else None
    return (_arguments(f"{module}.{base.id}") if isinstance(base, ast.Name) else {}) | own


def _annotated(given: ast.arguments) -> Iterator[tuple[str, tuple[Any, Any]]]:
    plain = [*given.posonlyargs, *given.args]
    defaults = [None] * (len(plain) - len(given.defaults)) + [*given.defaults, *given.kw_defaults]
    for argument, default in zip([*plain, *given.kwonlyargs], defaults, strict=True):
        if argument.annotation is not None:
            yield argument.arg, (_hint(argument.annotation), _literal(default))


def class_attribute(module: str, name: str, attribute: str) -> Any:
    """Returns the literal value of an attribute of a class of this package, its first base class included.

    None if there is no such class or attribute, or if its value is not literal.
    """
    module, kind = definition(module, name) or ("", None)
    if not isinstance(kind, ast.ClassDef):
        return None
    for node in kind.body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if isinstance(targets[0], ast.Name) and targets[0].id == attribute:
            value = node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
            if isinstance(value, ast.Attribute) and isinstance(value.value, ast.Name):  # another class's
                return class_attribute(module, value.value.id, value.attr)
            with contextlib.suppress(ValueError):
                return value and ast.literal_eval(value)
            return None
    base = kind.bases[0] if kind.bases else None
    return class_attribute(module, base.id, attribute) if isinstance(base, ast.Name) else None


@cache
def definition(module: str, name: str, hops: int = 4) -> tuple[str, Definition] | None:
    """Returns the module that defines a name, and the definition; ``module`` may import it from another one.

    None if it is not a class, a function or a constant of this package.
    """
    found = _names_in(module).get(name)
    if isinstance(found, ast.ImportFrom):
        original = next(alias.name for alias in found.names if (alias.asname or alias.name) == name)
        return definition(str(found.module), original, hops - 1) if hops else None
    return None if found is None else (module, found)


@cache
def _names_in(module: str) -> dict[str, Definition | ast.ImportFrom]:
    """Returns what a module of this package defines or imports."""
    place = PACKAGE.joinpath(*module.split(".")[1:])
    path = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
    if module.split(".")[0] != "clsnorm" or not path.is_file():
        return {}
    found: dict[str, Definition | ast.ImportFrom] = {}
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            found[node.name] = node
        elif isinstance(node, ast.ImportFrom):
            found |= dict.fromkeys([alias.asname or alias.name for alias in node.names], node)
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            found[node.targets[0].id] = node
    return found


def _hint(annotation: ast.expr) -> Any:
    try:  # the package's own source
        return eval(compile(ast.Expression(annotation), "annotation", "eval"), {}, defaultdict(lambda: Any, KNOWN))
    except (TypeError, AttributeError):  # such as a callable, or nn.Module
        return Any


def _literal(default: ast.expr | None) -> Any:
    try:
        return object() if default is None else ast.literal_eval(default)
    except ValueError:
        return object()
