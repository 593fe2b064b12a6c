"""The code that a program may run: the closure of its imports, and a hash of that code.

DVC stages, checkpoints and registered models depend on code. Nobody lists it by hand: it is found by following imports.
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
"""The stage that writes the code hashes of all other stages."""

NOT_FOLLOWED = {
    "tintype.closure": "it names code and runs none; when it names other code, the hashes differ by that",
    "tintype.config": "it checks values; those reach a stage as params, which are dependencies of their own",
    "tintype.tracking": "it records in MLflow what a stage made; `register` alone makes something there, and adds it",
}
"""Modules that do not affect any output, with the reason for each."""
ADDED = {"register": ("tracking/*.py", "serving/pyfunc.py")}
"""Files that a stage runs and that following its imports does not find, by stage: patterns of paths in the package."""


class Import(NamedTuple):
    """One name of an import statement: ``import module`` or ``from module import name``."""

    module: str
    name: str | None
    late: bool
    """Whether the import is inside a function, so that importing the file does not run it."""


def closure(*entries: Path, package: Path = PACKAGE) -> list[Path]:
    """Return the files of a package that the given programs may run, and the programs themselves, sorted.

    Imports inside functions count; imports for type checkers do not. If a package is only the parent of an imported
    module, its ``__init__.py`` counts together with the imports that run when it is imported.

    Args:
        entries: Python files. Modules next to them are followed, too.
        package: the package's folder.
    Raises:
        UserError: a file is not valid Python or has a relative import.
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
    """Return the SHA-256 of the syntax trees of the `closure`. Raises `UserError`.

    Comments, docstrings and layout do not affect it.
    """
    digest = hashlib.sha256()
    for file in closure(*entries, package=package):
        name = file.relative_to(package) if file.is_relative_to(package) else file.name
        digest.update(f"{name}\n{_parsed(file).meaning}\n".encode())
    return digest.hexdigest()


def stage_entries(checkout: Path) -> dict[str, list[Path]]:
    """Return the files where the code of every stage starts, by stage name. Stages are the files in ``stages/``."""
    package = checkout / "src" / PACKAGE.name
    stages = sorted(file for file in (checkout / "stages").glob("[a-z]*.py") if file.stem != HASH_CODE)
    return {
        stage.stem: [stage, *(file for pattern in ADDED.get(stage.stem, ()) for file in sorted(package.glob(pattern)))]
        for stage in stages
    }


def hash_files(checkout: Path) -> dict[str, str]:
    """Return what the stage `HASH_CODE` writes: the `code_hash` of every other stage by file name.

    Raises `UserError`.
    """
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
    """The syntax tree as text, see `_without_words`."""


def _parsed(file: Path) -> _Parsed:
    """Return a parsed file. Raises `UserError` if it is not valid Python or has a relative import."""
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
    """Return a syntax tree as nested tuples, without positions, docstrings and other standalone strings.

    Empty fields are left out because Python versions differ in which of them exist.
    """
    if isinstance(node, list):
        return tuple(_without_words(one) for one in node if not _is_words(one))
    if not isinstance(node, ast.AST):
        return node
    fields = ((name, _without_words(value)) for name, value in ast.iter_fields(node) if value not in (None, []))
    return (type(node).__name__, *fields)


def _is_words(node: Any) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
