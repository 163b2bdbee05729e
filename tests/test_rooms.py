# SPDX-License-Identifier: GPL-3.0-or-later
"""The rooms of the package, as its imports show them: they point down, and never in a circle."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
NAME = 'warwick.observatory.focuslynx'
PACKAGE = ROOT / 'warwick/observatory/focuslynx'
COMMON = ROOT / 'common/warwick/observatory/common'

MAY_IMPORT = {
    '': set(),
    'core': {''},
    'daemon': {'core', ''},
    'client': {''},
    'simulator': set(),
}
"""The rooms that each room may import besides itself; '' is the root of the package."""

MOST_FLOORS = {'simulator': 12}
MOST_FLOORS_ELSEWHERE = 9

Module = tuple[str, ...]
"""Path of a module within its package: ('core', 'hub'), ('config',), and ('core', '__init__') for a package."""


@cache
def modules(package: Path) -> dict[Module, ast.Module]:
    return {path.relative_to(package).with_suffix('').parts: ast.parse(path.read_text('utf-8'))
            for path in sorted(package.rglob('*.py'))}


def room(module: Module) -> str:
    return module[0] if len(module) > 1 else ''


def at_module_level(tree: ast.Module) -> Iterator[ast.stmt]:
    """The imports that are carried out when the module is loaded."""
    for node in tree.body:
        if isinstance(node, ast.If) and 'TYPE_CHECKING' in ast.unparse(node.test):
            continue
        for inner in ast.walk(node):
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                break
            if isinstance(inner, (ast.Import, ast.ImportFrom)):
                yield inner


def anywhere(tree: ast.Module) -> Iterator[ast.stmt]:
    """All imports, those in functions and under TYPE_CHECKING too."""
    return (node for node in ast.walk(tree) if isinstance(node, (ast.Import, ast.ImportFrom)))


def imported(package: Path, module: Module, node: ast.stmt) -> Iterator[tuple[Module, str]]:
    """The modules of the package that an import names, each with the name that is taken from it ('' for none)."""
    if isinstance(node, ast.Import):
        texts = [(alias.name, '') for alias in node.names]
    else:
        assert isinstance(node, ast.ImportFrom)
        own = NAME if package == PACKAGE else 'warwick.observatory.common'
        parts = [*own.split('.'), *module[:-1]]
        start = '.'.join([*parts[:len(parts) - node.level + 1], *(node.module or '').split('.')]).rstrip('.') \
            if node.level else node.module or ''
        texts = [(start, alias.name) for alias in node.names]
    for text, name in texts:
        prefix = NAME if package == PACKAGE else 'warwick.observatory.common'
        if text != prefix and not text.startswith(f'{prefix}.'):
            continue
        path = tuple(text[len(prefix):].strip('.').split('.')) if text != prefix else ()
        if (*path, name) in modules(package):
            yield (*path, name), ''
        elif path in modules(package):
            yield path, name
        else:
            yield (*path, '__init__'), name


def origin(package: Path, module: Module, name: str) -> Module:
    """The module that a name comes from which a package hands on."""
    if module[-1] != '__init__':
        return module
    for node in anywhere(modules(package)[module]):
        if isinstance(node, ast.ImportFrom) and name in [alias.asname or alias.name for alias in node.names]:
            return next(target for target, _ in imported(package, module, node))
    return module


def graph(package: Path, all_imports: bool) -> dict[Module, set[Module]]:
    """Who imports whom; packages that hand names on are not in it, but what they hand on."""
    found: dict[Module, set[Module]] = {}
    for module, tree in modules(package).items():
        if module[-1] == '__init__':
            continue
        targets = found.setdefault(module, set())
        for node in anywhere(tree) if all_imports else at_module_level(tree):
            targets |= {origin(package, *each) for each in imported(package, module, node)} - {module}
    return found


@pytest.mark.parametrize('name', MAY_IMPORT)
def test_a_room_imports_only_the_rooms_below_it(name: str) -> None:
    wrong = [f'{"/".join(module)} imports {"/".join(target)}'
             for module, tree in modules(PACKAGE).items() if room(module) == name
             for node in anywhere(tree) for target, _ in imported(PACKAGE, module, node)
             if room(target) not in {name, *MAY_IMPORT[name]}]
    assert wrong == []


def test_every_folder_of_the_package_is_a_room() -> None:
    assert {room(module) for module in modules(PACKAGE)} == set(MAY_IMPORT)


def test_the_core_is_entered_by_its_interface_alone() -> None:
    wrong = [f'{"/".join(module)} imports {"/".join(target)}'
             for module, tree in modules(PACKAGE).items() if room(module) not in ('core', '')
             for node in anywhere(tree) for target, _ in imported(PACKAGE, module, node)
             if room(target) == 'core' and target != ('core', '__init__')]
    assert wrong == []


@pytest.mark.parametrize('package', [PACKAGE, COMMON], ids=['focuslynx', 'common'])
def test_no_imports_run_in_a_circle(package: Path) -> None:
    assert list(TopologicalSorter(graph(package, all_imports=True)).static_order())


@pytest.mark.parametrize('name', MAY_IMPORT)
def test_a_room_has_few_floors(name: str) -> None:
    arrows = graph(PACKAGE, all_imports=False)
    floors: dict[Module, int] = {}
    for module in TopologicalSorter(arrows).static_order():
        floors[module] = 1 + max((floors[target] for target in arrows.get(module, ())), default=0)
    highest = max((each for each in floors if room(each) == name), key=lambda each: floors[each], default=())
    assert floors.get(highest, 0) <= MOST_FLOORS.get(name, MOST_FLOORS_ELSEWHERE), highest


def test_the_client_room_loads_nothing_by_itself() -> None:
    assert not list(anywhere(modules(PACKAGE)['client', '__init__']))


def classes(package: Path) -> dict[str, tuple[Module, ast.ClassDef]]:
    return {node.name: (module, node) for module, tree in modules(package).items() for node in ast.walk(tree)
            if isinstance(node, ast.ClassDef)}


MAY_BE_INHERITED = {'Request', 'Operation', 'Motion', 'HubError'}
"""Messages, operations and exceptions. Protocols may be, too."""


def test_no_class_inherits_from_one_of_another_file() -> None:
    known = classes(PACKAGE)
    wrong = []
    for module, node in known.values():
        for base in node.bases:
            name = ast.unparse(base).split('[')[0].split('.')[-1]
            if name not in known or known[name][0] == module or name in MAY_BE_INHERITED or name == node.name:
                continue
            if 'Protocol' not in [ast.unparse(each) for each in known[name][1].bases]:
                wrong.append(f'{node.name} in {"/".join(module)} inherits from {name}')
    assert wrong == []


FOREIGN_UNDERSCORES = {'_replace', '_asdict', '_fields', '_exit', '_current_frames'}
"""Documented names of the standard library; those of Pyro4 begin with _pyro."""


def test_no_object_uses_the_underscore_names_of_another() -> None:
    wrong = []
    for module, tree in modules(PACKAGE).items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and re.match('_(?!_|pyro)', node.attr) \
                    and node.attr not in FOREIGN_UNDERSCORES \
                    and ast.unparse(node.value) not in ('self', 'cls', 'super()'):
                wrong.append(f'{"/".join(module)}, line {node.lineno}: {ast.unparse(node)}')
            if isinstance(node, ast.ImportFrom) and node.level and module[-1] != '__init__':
                wrong += [f'{"/".join(module)}, line {node.lineno}: {alias.name}' for alias in node.names
                          if alias.name.startswith('_') and alias.name != '_version']
    assert wrong == []
