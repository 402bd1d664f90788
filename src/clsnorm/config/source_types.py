"""Types of constructors' arguments, read from the source: a wrong type is refused before torch is imported."""

from __future__ import annotations

import ast
import typing
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from clsnorm.config.types import WORDS, fits, rule_of

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
    found = _class_of(*target.rpartition(".")[::2])
    if found is None:
        return {}
    module, kind = found
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


def _class_of(module: str, name: str, hops: int = 4) -> tuple[str, ast.ClassDef] | None:
    """Returns the class and the module that defines it; ``module`` may import it from another one of this package."""
    place = PACKAGE.joinpath(*module.split(".")[1:])
    path = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
    if not module.startswith("clsnorm") or not path.is_file() or not hops:
        return None
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            return module, node
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    return _class_of(str(node.module), alias.name, hops - 1)
    return None


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
