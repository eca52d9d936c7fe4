"""The types of `recollect.blocking`, made of the source of the async classes.

`python -m tests.blocking_stub` writes the file again.
"""

import ast
import builtins
import copy
import inspect
import subprocess
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import recollect
from recollect import blocking, connect
from recollect._blocking import deriving

STUB = Path(recollect.__file__).with_name("blocking.pyi")
ORIGINALS = {derived.__name__: original for original, derived in deriving._derived.items()}
CHANGED = {
    "asynccontextmanager": ("contextlib", "contextmanager"),
    "AsyncGenerator": ("collections.abc", "Generator"),
    "AsyncIterable": ("collections.abc", "Iterable"),
}
RENAMED = {"__aenter__": "__enter__", "__aexit__": "__exit__"}
FOREWORD = "# Made of the async classes: python -m tests.blocking_stub\n"

Function = ast.FunctionDef | ast.AsyncFunctionDef
Names = dict[str, tuple[str, str]]


@cache
def tree_of(module: ModuleType) -> ast.Module:
    return ast.parse(inspect.getsource(module))


@cache
def names_of(module: ModuleType) -> Names:
    """Return what each global name of a module is: a module, and its name there."""
    names: Names = {}
    package = (module.__package__ or "").split(".")
    for node in ast.walk(tree_of(module)):
        if isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            source = ".".join([*above, *([node.module] if node.module else [])])
            names |= {alias.asname or alias.name: (source, alias.name) for alias in node.names}
    conditional = [node for each in tree_of(module).body if isinstance(each, ast.If) for node in each.body]
    for node in (*tree_of(module).body, *conditional):
        targets = node.targets if isinstance(node, ast.Assign) else []
        defined = [target.id for target in targets if isinstance(target, ast.Name)]
        defined += [node.name] if isinstance(node, ast.ClassDef) else []
        names |= {name: (module.__name__, name) for name in defined}
    return names


class Translation(ast.NodeTransformer):
    """Writes annotations as they are without `await`, and notes what has to be imported for them."""

    def __init__(self, module: ModuleType, imports: Names) -> None:
        self.names, self.imports = names_of(module), imports

    def visit_Name(self, node: ast.Name) -> ast.AST:
        source = CHANGED.get(node.id) or self.names.get(node.id)
        if node.id in ORIGINALS or (source is None and hasattr(builtins, node.id)):
            return node
        assert source is not None, f"nothing is known of {node.id}"
        assert self.imports.setdefault(source[1], source) == source, f"two things are called {source[1]}"
        return ast.Name(source[1])

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        if isinstance(node.value, str):
            return self.visit(ast.parse(node.value, mode="eval").body)
        return node

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        literal = isinstance(node.value, ast.Name) and node.value.id == "Literal"
        return ast.Subscript(self.visit(node.value), node.slice if literal else self.visit(node.slice))


def shown(function: Function, translation: Translation) -> ast.FunctionDef:
    """Return a function without its body."""
    arguments = copy.deepcopy(function.args)
    for each in ast.walk(arguments):
        if isinstance(each, ast.arg) and each.annotation is not None:
            each.annotation = translation.visit(each.annotation)
    arguments.defaults = [default(each) for each in arguments.defaults]
    arguments.kw_defaults = [each and default(each) for each in arguments.kw_defaults]
    kept = {"property", "asynccontextmanager"}
    decorators = [each for each in function.decorator_list if isinstance(each, ast.Name) and each.id in kept]
    assert function.returns is not None, function.name
    return ast.FunctionDef(
        name=RENAMED.get(function.name, function.name),
        args=arguments,
        body=[ast.Expr(ast.Constant(...))],
        decorator_list=[translation.visit(each) for each in decorators],
        returns=translation.visit(copy.deepcopy(function.returns)),
        type_params=[],
    )


def default(node: ast.expr) -> ast.expr:
    """Return a default that is simple enough for a stub."""
    return node if isinstance(node, ast.Constant) else ast.Constant(...)


def members(original: type[Any]) -> Iterator[tuple[ModuleType, Function]]:
    for each in reversed(original.__mro__[:-1]):
        module = sys.modules[each.__module__]
        (body,) = (
            node.body
            for node in tree_of(module).body
            if isinstance(node, ast.ClassDef) and node.name == each.__name__
        )
        for node in body:
            if isinstance(node, Function):
                yield module, node


def parts(constructor: Function) -> Iterator[ast.stmt]:
    """Yield the attributes that are objects without `await`, too."""
    for node in constructor.body:
        match node:
            case ast.Assign([ast.Attribute(attr=name)], ast.Call(ast.Name(part))) if part in ORIGINALS:
                yield ast.AnnAssign(ast.Name(name), ast.Name(part), simple=1)
            case _:
                pass


def class_shown(name: str, imports: Names) -> ast.ClassDef:
    body: dict[str, ast.stmt] = {}
    for module, node in members(ORIGINALS[name]):
        public = node.name in RENAMED or not (node.name.startswith("_") or node.name in deriving.INTERNAL)
        if node.name == "__init__":
            body |= {ast.unparse(each): each for each in parts(node)}
        elif public:
            body[node.name] = shown(node, Translation(module, imports))
    return ast.ClassDef(name, bases=[], keywords=[], body=[*body.values()], decorator_list=[], type_params=[])


def opening(imports: Names) -> ast.FunctionDef:
    """Return `open_memory`: the arguments of its own, and those of the async one."""
    functions: list[ast.FunctionDef] = []
    for module in (blocking, connect):
        (node,) = (
            each for each in tree_of(module).body if isinstance(each, Function) and each.name == "open_memory"
        )
        functions.append(shown(node, Translation(module, imports)))
    ours, opened = functions
    opened.args.kwonlyargs += ours.args.kwonlyargs
    opened.args.kw_defaults += ours.args.kw_defaults
    imports["contextmanager"] = ("contextlib", "contextmanager")
    opened.decorator_list = [ast.Name("contextmanager")]
    return opened


def imported(imports: Names) -> Iterable[ast.stmt]:
    modules: dict[str, list[str]] = {}
    for source, name in sorted(imports.values()):
        modules.setdefault(source, []).append(name)
    for source, names in modules.items():
        yield ast.ImportFrom(source, [ast.alias(name) for name in names], 0)


def stub() -> ast.Module:
    imports: Names = {}
    body = [*(class_shown(name, imports) for name in sorted(ORIGINALS)), opening(imports)]
    exported = ast.Tuple([ast.Constant(name) for name in sorted(blocking.__all__)])
    listed = ast.Assign([ast.Name("__all__")], exported)
    module = ast.Module([*imported(imports), listed, *body], type_ignores=[])
    # Read again: what was put together by hand lacks what a parser adds.
    return ast.parse(ast.unparse(ast.fix_missing_locations(module)))


if __name__ == "__main__":
    STUB.write_text(FOREWORD + ast.unparse(stub()) + "\n", encoding="utf-8")
    for command in (["check", "--select", "I", "--fix", "--quiet"], ["format", "--quiet"]):
        subprocess.run([sys.executable, "-m", "ruff", *command, str(STUB)], check=True)
