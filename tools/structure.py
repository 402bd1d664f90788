"""Measures how a checkout is built: files, packages, imports, functions, repeated blocks, configuration.

python tools/structure.py [--checkout PATH]
"""

from __future__ import annotations

import argparse
import ast
import itertools
import statistics
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import yaml

LONG = 250  # lines of a file
BLOCK = 6  # equal code lines in a row that count as a repeated block
SETS = ("sst2", "stance_atheism")
CONFIGURATION = ("omegaconf", "hydra")  # importing one means using the configuration
PASSED = ("config", "cfg")  # names under which it is passed on
FAMILIES = ("transformers", "PretrainedConfig", "PreTrainedConfig")  # whose own configurations do not count


def part(path: Path, source: Path) -> str:
    """The package or loose module below ``source`` that a file belongs to."""
    return path.relative_to(source).parts[0].removesuffix(".py")


def imports(tree: ast.AST) -> Iterator[str]:
    """Dotted names of all imports, those inside functions included."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def graph(trees: dict[Path, ast.Module], source: Path) -> dict[str, set[str]]:
    """Which part imports which others."""
    edges: dict[str, set[str]] = defaultdict(set)
    for path, tree in trees.items():
        edges[part(path, source)] |= {name.split(".")[1] for name in imports(tree) if name.startswith("clsnorm.")}
    parts = set(edges)
    return {one: (others & parts) - {one, "__init__"} for one, others in edges.items() if one != "__init__"}


def circles(edges: dict[str, set[str]]) -> list[list[str]]:
    """Groups of parts that import each other, directly or through others."""
    reach = {one: set(others) for one, others in edges.items()}
    for middle, one in itertools.product(edges, edges):
        if middle in reach[one]:
            reach[one] |= reach[middle]
    groups = {frozenset({one} | {o for o in reach[one] if one in reach[o]}) for one in edges if one in reach[one]}
    return sorted(sorted(group) for group in groups)


def order(checkout: Path) -> list[str]:
    """``ORDER`` of the checkout's tests/test_architecture.py, first to last; empty if it has none."""
    path = checkout / "tests" / "test_architecture.py"
    tree = ast.parse(path.read_text(encoding="utf-8")) if path.exists() else ast.Module([], [])
    for node in tree.body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "ORDER":
            return list(ast.literal_eval(node.value))
    return []


def module_graph(trees: dict[Path, ast.Module], source: Path) -> dict[str, set[str]]:
    """Which module imports which others, inside functions too."""
    names = {".".join(path.relative_to(source.parent).with_suffix("").parts): path for path in trees}
    edges = {}
    for name, path in names.items():
        wanted = {one for dotted in imports(trees[path]) for one in (dotted, dotted.rpartition(".")[0])}
        edges[name] = (wanted & set(names)) - {name}
    return edges


def functions(trees: dict[Path, ast.Module], source: Path) -> list[tuple[int, str]]:
    """Lines, without docstring, and place of each function."""
    found = []
    for path, tree in trees.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                first = node.body[0]
                doc = isinstance(first, ast.Expr) and isinstance(getattr(first, "value", None), ast.Constant)
                skipped = (first.end_lineno or 0) - first.lineno + 1 if doc else 0
                lines = (node.end_lineno or 0) - node.lineno + 1 - skipped
                found.append((lines, f"{path.relative_to(source)}:{node.lineno} {node.name}"))
    return sorted(found, reverse=True)


def sees_configuration(tree: ast.Module) -> bool:
    """Whether a module imports omegaconf or hydra, or names a parameter or variable ``config`` or ``cfg``.

    A name with the annotation or value of a transformers configuration is not counted.
    """
    if any(name.split(".")[0] in CONFIGURATION for name in imports(tree)):
        return True
    for node in ast.walk(tree):
        if isinstance(node, ast.arg) and node.arg in PASSED and not of_family(node.annotation):
            return True
        if isinstance(node, ast.Assign) and not of_family(node.value):
            names = [target.id for target in node.targets if isinstance(target, ast.Name)]
            if set(names) & set(PASSED):
                return True
    return False


def of_family(node: ast.AST | None) -> bool:
    """Whether an annotation or a value is a configuration of transformers."""
    text = ast.unparse(node) if node else ""
    return any(word in text for word in FAMILIES) or text.endswith(".config") or "Config.from_" in text


def repeated_blocks(paths: list[Path]) -> list[tuple[int, str, str]]:
    """Pairs of places with `BLOCK` or more equal code lines; blank lines, comments, imports and docstrings skipped.

    A run of equal lines counts once, at its full length.
    """
    lines = [(path, number, text) for path in paths for number, text in code_lines(path)]
    seen: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for at in range(len(lines) - BLOCK + 1):
        if lines[at][0] == lines[at + BLOCK - 1][0]:
            seen[tuple(text for _, _, text in lines[at : at + BLOCK])].append(at)
    pairs = {pair for places in seen.values() for pair in itertools.combinations(places, 2)}
    found = []
    for a, b in sorted(pairs):
        if (a - 1, b - 1) in pairs:
            continue
        length = BLOCK
        while (a + length - BLOCK + 1, b + length - BLOCK + 1) in pairs:
            length += 1
        if lines[a][0] != lines[b][0] or b - a >= length:
            found.append((length, *(f"{lines[at][0].name}:{lines[at][1]}" for at in (a, b))))
    return sorted(found, reverse=True)


def code_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Number and text of each line that is code: no blank line, comment, import or docstring."""
    text = path.read_text(encoding="utf-8")
    skipped: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        string = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if string or isinstance(node, ast.Import | ast.ImportFrom):
            skipped |= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip() and not line.strip().startswith("#") and number not in skipped:
            yield number, line.strip()


def yaml_files(option: Path) -> list[Path]:
    """The distinct files whose values reach an option: itself and all that its defaults name, recursively."""
    found, waiting = [], [option]
    while waiting:
        path = waiting.pop()
        if path in found or not path.exists():
            continue
        found.append(path)
        node = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        named = [one for one in node.get("defaults", []) if isinstance(one, str) and one != "_self_"]
        waiting += [path.parent / f"{one.split('@')[0]}.yaml" for one in named]
    return found


def listed(name: str, things: list[str]) -> None:
    """Prints the number of things and their names."""
    print(f"{name}: {len(things)}" + (f" ({', '.join(things)})" if things else ""))


def report_files(texts: dict[Path, str], source: Path) -> None:
    """Prints the sizes and names of files."""
    lengths = {path: len(text.splitlines()) for path, text in texts.items()}
    sizes: Counter[str] = Counter()
    for path, count in lengths.items():
        sizes[part(path, source)] += count
    print(f"files: {len(texts)}, lines: {sum(lengths.values())}, median file: {statistics.median(lengths.values()):g}")
    print("lines a package: " + ", ".join(f"{name} {count}" for name, count in sizes.most_common()))
    listed("loose modules", sorted(path.stem for path in source.glob("*.py") if path.stem != "__init__"))
    names = Counter(path.name for path in texts if not path.name.startswith("__"))
    listed("file names that occur twice", sorted(name for name, count in names.items() if count > 1))
    long = [f"{path.relative_to(source)} {count}" for path, count in lengths.items() if count > LONG]
    listed(f"files over {LONG} lines", long)


def report_imports(trees: dict[Path, ast.Module], source: Path, known: list[str]) -> None:
    """Prints who imports whom, between packages and between modules."""
    edges = graph(trees, source)
    print(f"imports between packages: {sum(map(len, edges.values()))}")
    mutual = [f"{a} and {b}" for a in edges for b in edges[a] if a < b and a in edges.get(b, ())]
    listed("packages that import each other", sorted(mutual))
    listed("import circles of packages", [" - ".join(group) for group in circles(edges)])
    listed("import circles of modules", [" - ".join(group) for group in circles(module_graph(trees, source))])
    rank = {name: number for number, name in enumerate(known)}
    upward = [f"{a} -> {b}" for a in edges for b in edges[a] if rank.get(b, -1) > rank.get(a, len(rank))]
    listed("upward imports", sorted(upward)) if known else print("upward imports: the checkout states no ORDER")


def report_functions(trees: dict[Path, ast.Module], source: Path) -> None:
    """Prints how long functions are, without docstrings."""
    counts = functions(trees, source)
    lines = sorted(count for count, _ in counts)
    p90 = lines[int(0.9 * len(lines))]
    print(f"functions: {len(lines)}, lines: median {statistics.median(lines):g}, p90 {p90}, max {lines[-1]}")
    print("longest: " + ", ".join(f"{place} {count}" for count, place in counts[:10]))


def report(checkout: Path) -> None:
    """Prints every figure of a checkout."""
    source = checkout / "src" / "clsnorm"
    texts = {path: path.read_text(encoding="utf-8") for path in sorted(source.rglob("*.py"))}
    trees = {path: ast.parse(text) for path, text in texts.items()}
    report_files(texts, source)
    report_imports(trees, source, order(checkout))
    report_functions(trees, source)
    seeing = {part(path, source) for path, tree in trees.items() if sees_configuration(tree)} - {"__init__"}
    listed("packages that see the configuration", sorted(seeing))
    for name in SETS:
        opened = yaml_files(checkout / "conf" / "data" / f"{name}.yaml")
        listed(f"files to open for data={name}", [path.stem for path in opened])
    blocks = [f"{a} = {b}: {length}" for length, a, b in repeated_blocks(list(texts))]
    listed(f"repeated blocks of {BLOCK} lines", blocks)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkout", type=Path, default=Path(__file__).parents[1], help="folder of a checkout")
    sys.exit(report(parser.parse_args().checkout))
