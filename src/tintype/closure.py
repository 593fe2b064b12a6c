"""Which code a program runs: the closure of its imports, and a hash of what that code does.

DVC's stages, checkpoints and registered models depend on code. Nobody lists it: it is found by following the imports.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from tintype.errors import UserError

PACKAGE = Path(__file__).parent
HASH_CODE = "hash_code"
"""The stage that writes the hashes of all others."""

NOT_FOLLOWED = {
    "tintype.closure": "it names code and runs none; when it names other code, the hashes differ by that",
    "tintype.config": "it checks values; those reach a stage as params, which are dependencies of their own",
    "tintype.tracking": "it records in MLflow what a stage made; `register` alone makes something there, and adds it",
}
"""Modules that decide no output, and why."""
ADDED = {"register": ("tracking/registry.py", "tracking/runs.py", "tracking/store.py", "serving/pyfunc.py")}
"""What a stage runs that its imports do not tell, by stage: paths in the package."""


class Import(NamedTuple):
    """One name of an import statement: ``import module`` or ``from module import name``."""

    module: str
    name: str | None
    late: bool
    """Inside a function: importing the file does not run it."""


def closure(*entries: Path, package: Path = PACKAGE) -> list[Path]:
    """The files of a package that programs may run, the programs themselves among them, sorted.

    Imports inside functions count, those for type checkers do not. Where a package is only the parent of what is
    imported, its ``__init__.py`` counts with the imports that run when it is imported.

    Args:
        entries: Python files. Modules that stand beside them are followed, too.
        package: a package's folder.
    Raises:
        UserError: a file is no Python, or has a relative import.
    """
    whole: set[Path] = set()
    parents: set[Path] = set()

    def visit(file: Path) -> None:
        if file not in whole:
            whole.add(file)
            for found in _parsed(file).imports:
                follow(found, file)

    def visit_parent(file: Path) -> None:
        if file not in parents | whole:
            parents.add(file)
            for found in _parsed(file).imports:
                if not found.late:
                    follow(found, file)

    def follow(found: Import, importer: Path) -> None:
        words = found.module.split(".")
        if words[0] == package.name:
            root = package.parent
        elif importer.is_relative_to(package):
            return  # another library
        else:
            root = importer.parent
        if found.name and _file(root, [*words, found.name]):  # what is imported from a package may be a module
            words.append(found.name)
        file = _file(root, words)
        if file is None or any(".".join([*words, ""]).startswith(f"{module}.") for module in NOT_FOLLOWED):
            return
        follow_parents(root, words)
        visit(file)

    def follow_parents(root: Path, words: Sequence[str]) -> None:
        for length in range(1, len(words)):
            if (parent := _file(root, words[:length])) is not None:
                visit_parent(parent)

    for entry in entries:
        if entry.is_relative_to(package):
            follow_parents(package.parent, entry.relative_to(package.parent).parts)
        visit(entry)
    return sorted(whole | parents)


def code_hash(*entries: Path, package: Path = PACKAGE) -> str:
    """SHA-256 of the `closure`'s syntax trees. Comments, docstrings and layout do not count. Raises `UserError`."""
    digest = hashlib.sha256()
    for file in closure(*entries, package=package):
        name = file.relative_to(package) if file.is_relative_to(package) else file.name
        digest.update(f"{name}\n{_parsed(file).meaning}\n".encode())
    return digest.hexdigest()


def stage_entries(checkout: Path) -> dict[str, list[Path]]:
    """Where the code of every stage starts, by name; a stage is a file of the checkout's folder ``stages``."""
    package = checkout / "src" / PACKAGE.name
    stages = sorted(file for file in (checkout / "stages").glob("[a-z]*.py") if file.stem != HASH_CODE)
    return {stage.stem: [stage, *(package / path for path in ADDED.get(stage.stem, ()))] for stage in stages}


def hash_files(checkout: Path) -> dict[str, str]:
    """What the stage `HASH_CODE` writes: by file name, the `code_hash` of every other stage. Raises `UserError`."""
    package = checkout / "src" / PACKAGE.name
    return {
        f"{stage}.sha256": f"{code_hash(*entries, package=package)}\n"
        for stage, entries in stage_entries(checkout).items()
    }


def _file(root: Path, words: Sequence[str]) -> Path | None:
    folder = root.joinpath(*words)
    candidates = (folder / "__init__.py", folder.with_suffix(".py"))
    return next((file for file in candidates if file.is_file()), None)


class _Parsed(NamedTuple):
    imports: tuple[Import, ...]
    meaning: str
    """The syntax tree, see `_without_words`."""


def _parsed(file: Path) -> _Parsed:
    """Raises `UserError` where it is no Python."""
    try:
        return _parsed_once(file.read_bytes())
    except (SyntaxError, ValueError) as error:
        raise UserError(f"{file}: {error}") from None


@cache
def _parsed_once(source: bytes) -> _Parsed:
    tree = ast.parse(source)
    return _Parsed(tuple(_imports(tree, late=False)), repr(_without_words(tree)))


def _imports(node: ast.AST, *, late: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        match child:
            case ast.Import(names=names):
                yield from (Import(alias.name, None, late) for alias in names)
            case ast.ImportFrom(module=str(module), names=names, level=0):
                yield from (Import(module, alias.name, late) for alias in names)
            case ast.ImportFrom():
                raise ValueError(f"line {child.lineno}: a relative import; allowed: the whole name")
            case ast.If(test=ast.Name(id="TYPE_CHECKING")):
                yield from (found for other in child.orelse for found in _imports(other, late=late))
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                yield from _imports(child, late=True)
            case _:
                yield from _imports(child, late=late)


def _without_words(node: Any) -> Any:
    """A syntax tree as nested tuples, without docstrings and other strings that stand alone, and without positions.

    Empty fields are left out: Python's versions differ in which they have.
    """
    if isinstance(node, list):
        return tuple(_without_words(one) for one in node if not _is_words(one))
    if not isinstance(node, ast.AST):
        return node
    fields = ((name, _without_words(value)) for name, value in ast.iter_fields(node) if value not in (None, []))
    return (type(node).__name__, *fields)


def _is_words(node: Any) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
