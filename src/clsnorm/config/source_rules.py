"""Rules of constructors' arguments, read from the source: a value out of range is refused before torch is imported.

A rule is written once, where its class is built: ``require_positive("optimizer.lr", lr)``. Here the same statements are
found in the source and executed, as far as they need nothing but the configuration's values; the others wait for the
class. A constructor may pass values on: to a base class, another class or a function of the package.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

from clsnorm import errors
from clsnorm.config.source_types import definition
from clsnorm.errors import InputError

MOST_CALLS = 6  # of one class or function by another
BUILTINS = {"__builtins__": {}, "float": float, "list": list}
UNKNOWN = object()  # a value that the source does not show, such as the width of an embedding


def check_source_rules(target: object, given: Mapping[str, Any]) -> None:
    """Executes the checks that the constructor of a class of this package makes.

    Args:
        target: Dotted name of the class; anything else passes.
        given: Arguments by name, of types that `clsnorm.config.source_types.source_misfits` finds no fault with.

    Raises:
        InputError: If a value breaks a rule, in the words of the constructor.
    """
    if isinstance(target, str) and target.startswith("clsnorm."):
        module, _, name = target.rpartition(".")
        known = {key: value for key, value in given.items() if not (isinstance(value, dict) and "_target_" in value)}
        _call(module, name, [], known, MOST_CALLS)  # without objects that are yet to be built


class _Scope(dict[str, Any]):
    """Known values by name; constants of the module and the checks of `clsnorm.errors` are looked up when needed."""

    def __init__(self, module: str, known: Mapping[str, Any]) -> None:
        super().__init__(known)
        self.module = module

    def __missing__(self, name: str) -> Any:
        module, found = definition(self.module, name) or ("", None)
        if module == errors.__name__:
            return getattr(errors, name)
        if not isinstance(found, ast.Assign):
            raise KeyError(name)
        return ast.literal_eval(found.value)

    def value_of(self, expression: ast.expr) -> Any:
        """Returns the value of an expression, or `UNKNOWN`.

        Raises:
            InputError: If it is a check, and refuses.
        """
        if any(self.get(part.id) is UNKNOWN for part in ast.walk(expression) if isinstance(part, ast.Name)):
            return UNKNOWN
        try:  # the package's own source
            return eval(compile(ast.Expression(expression), "source", "eval"), BUILTINS, self)
        except InputError:
            raise
        except Exception:  # whatever an expression does with values that are not what it needs
            return UNKNOWN


class _Fields:
    """``self`` in the checks of a dataclass: its fields that are known."""

    def __init__(self, known: Mapping[str, Any]) -> None:
        self.__dict__.update(known)


def _call(module: str, name: str, positional: list[Any], named: dict[str, Any], left: int) -> None:
    """Executes the checks of a class or a function of the package; others are passed over."""
    found = definition(module, name) if left else None
    if found is None:
        return
    module, node = found
    if isinstance(node, ast.ClassDef):
        _construct(module, node, positional, named, left - 1)
    elif isinstance(node, ast.FunctionDef):
        parameters = [argument.arg for argument in (*node.args.args, *node.args.kwonlyargs)]
        _execute(node.body, _Scope(module, _bound(parameters, positional, named)), left - 1)


def _construct(module: str, node: ast.ClassDef, positional: list[Any], named: dict[str, Any], left: int) -> None:
    methods = {part.name: part for part in node.body if isinstance(part, ast.FunctionDef)}
    base = node.bases[0].id if node.bases and isinstance(node.bases[0], ast.Name) else None
    if method := methods.get("__init__"):
        parameters = [argument.arg for argument in (*method.args.args[1:], *method.args.kwonlyargs)]
        scope = _Scope(module, _bound(parameters, positional, named))
        if method.args.kwarg is not None:
            scope[method.args.kwarg.arg] = {name: named[name] for name in named.keys() - set(parameters)}
        _execute(method.body, scope, left, base)
    elif method := methods.get("__post_init__"):
        fields = [ast.unparse(part.target) for part in node.body if isinstance(part, ast.AnnAssign)]
        _execute(method.body, _Scope(module, {"self": _Fields(_bound(fields, positional, named))}), left)
    elif base is not None:
        _call(module, base, positional, named, left)


def _bound(parameters: list[str], positional: list[Any], named: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the known values by the name of their parameter."""
    values = dict(zip(parameters, positional, strict=False))
    values |= {name: named[name] for name in parameters if name in named}
    return {name: value for name, value in values.items() if value is not UNKNOWN}


def _execute(body: list[ast.stmt], scope: _Scope, left: int, base: str | None = None) -> None:
    """Executes checks in their order; ends where a condition that is not known may return."""
    for statement in body:
        if isinstance(statement, ast.Expr | ast.Assign | ast.AnnAssign) and isinstance(statement.value, ast.Call):
            _follow(statement.value, scope, left, base)
        if isinstance(statement, ast.If) and scope.value_of(statement.test) not in (UNKNOWN, False, None):
            _refuse(statement.body, scope)
        if any(isinstance(part, ast.Return) for part in ast.walk(statement)):
            return
        _assign(statement, scope)


def _assign(statement: ast.stmt, scope: _Scope) -> None:
    """Learns the value of a name, or forgets those that the statement may change."""
    if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
        scope[statement.targets[0].id] = scope.value_of(statement.value)
    else:
        for part in ast.walk(statement):
            if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
                scope[part.id] = UNKNOWN


def _refuse(body: list[ast.stmt], scope: _Scope) -> None:
    """Executes the first statement of a condition that holds, if it is a refusal."""
    if isinstance(body[0], ast.Expr):
        scope.value_of(body[0].value)
    elif isinstance(body[0], ast.Raise) and body[0].exc is not None:
        error = scope.value_of(body[0].exc)
        if isinstance(error, InputError):
            raise error


def _follow(call: ast.Call, scope: _Scope, left: int, base: str | None) -> None:
    """Executes a check, or the checks of what is called."""
    name = ast.unparse(call.func)
    name = str(base) if name == "super().__init__" else name
    if not name.isidentifier():
        return
    found = definition(scope.module, name)
    if found is not None and found[0] == errors.__name__:
        scope.value_of(call)
        return
    named: dict[str, Any] = {}
    for keyword in call.keywords:
        value = scope.value_of(keyword.value)
        named |= {keyword.arg: value} if keyword.arg else value if isinstance(value, dict) else {}
    _call(scope.module, name, [scope.value_of(value) for value in call.args], named, left)
