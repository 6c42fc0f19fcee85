"""The order of the rooms: a module imports only from its own room and from rooms before it."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ORDER: tuple[set[str], ...] = (
    {"data", "errors", "names", "version"},
    {"files", "text"},
    {"settings", "places"},
    {"config", "imaging"},
    {"defaults", "film"},
    {"base"},
    {"style", "diffusion", "scoring"},
    {"learning", "painting"},
    {"pipelines", "recipe", "result"},
    {"parts", "repaint"},
    {"api", "textures", "training_free"},
    {"batches", "doctor"},
    {"studio", "cli"},
    {"ui"},
    {"app"},
)
PLACE = {room: place for place, rooms in enumerate(ORDER) for room in rooms}
ONLY_IN = {"gradio": {"ui", "app"}, "typer": {"cli"}, "rich": {"cli"}, "fastapi": {"ui", "app"}}


def sources() -> Iterator[tuple[str, Path]]:
    """(room, file) of everything that has a room: folders and single modules of `sigstyle`, the pipelines, the app."""
    for path in sorted((ROOT / "sigstyle").rglob("*.py")):
        inside = path.relative_to(ROOT / "sigstyle")
        if inside.name not in ("__init__.py", "__main__.py") or len(inside.parts) > 1:
            yield inside.parts[0].removesuffix(".py"), path
    for path in sorted((ROOT / "pipelines").glob("*.py")):
        yield "pipelines", path
    yield "app", ROOT / "app.py"


def imported(path: Path) -> set[str]:
    """Full names of the modules a file imports, anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name} imports relatively; use full names"
            names |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module or ""}
    return names


def rooms_used(path: Path) -> set[str]:
    """The rooms a file imports from."""
    found = {name.split(".")[1] for name in imported(path) if name.startswith("sigstyle.")}
    found |= {"pipelines"} if any(name.split(".")[0] == "pipelines" for name in imported(path)) else set()
    return found & set(PLACE)


def module_name(path: Path) -> str:
    """'sigstyle.base.model' for its file."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


EVERY = list(sources())


@pytest.mark.parametrize(("room", "path"), EVERY, ids=lambda value: getattr(value, "name", value))
def test_a_room_imports_only_rooms_before_it(room: str, path: Path) -> None:
    assert room in PLACE, f"{room} has no place in the order yet: give it one"
    for other in rooms_used(path) - {room}:
        assert PLACE[other] < PLACE[room], f"{path.relative_to(ROOT)} imports {other}, which is not before it"


def test_modules_have_no_cycles() -> None:
    modules = {module_name(path) for _, path in EVERY}
    edges = {module_name(path): imported(path) & modules - {module_name(path)} for _, path in EVERY}
    while edges:
        leaves = {module for module, others in edges.items() if not others & set(edges)}
        assert leaves, f"a cycle among {sorted(edges)}"
        edges = {module: others for module, others in edges.items() if module not in leaves}


@pytest.mark.parametrize("library", ONLY_IN)
def test_a_front_end_library_stays_in_its_room(library: str) -> None:
    for room, path in EVERY:
        met = any(name.split(".")[0] == library for name in imported(path))
        assert not met or room in ONLY_IN[library], f"{path.relative_to(ROOT)} imports {library}"


def test_no_private_name_crosses_a_file() -> None:
    for path in [*(ROOT / "sigstyle").rglob("*.py"), *(ROOT / "pipelines").glob("*.py"), ROOT / "app.py"]:
        private = {name for name in imported(path) if name.startswith(("sigstyle", "pipelines"))}
        private = {name for name in private if any(p.startswith("_") and p[1] != "_" for p in name.split("."))}
        assert not private, f"{path.relative_to(ROOT)} imports {sorted(private)}"


@pytest.mark.parametrize("path", sorted((ROOT / "pipelines").glob("pipeline_*.py")), ids=lambda path: path.name)
def test_one_pipeline_class_is_visible_in_a_pipeline_file(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    visible = [node.name for node in tree.body if isinstance(node, ast.ClassDef) and node.name.endswith("Pipeline")]
    visible += [name for name in imported(path) if name.startswith("pipelines.") and name.endswith("Pipeline")]
    assert len(visible) == 1


@pytest.mark.parametrize("path", [path for _, path in EVERY], ids=lambda path: path.name)
def test_modules_and_functions_stay_small(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") < 300, f"{path.relative_to(ROOT)} is too long: split it by concept"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            assert lines <= 60, f"{path.relative_to(ROOT)}: {node.name} has {lines} lines"


def test_one_public_name_means_one_thing() -> None:
    """Commands alone share their names, with the functions of the library that they call."""
    homes: dict[str, list[str]] = {}
    for _, path in EVERY:
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_"):
                homes.setdefault(node.name, []).append(module_name(path))
    for name, modules in homes.items():
        library = [module for module in modules if not module.startswith("sigstyle.cli.")]
        assert len(library) < 2 and len(modules) - len(library) < 2, f"{name} is in {modules}"


def test_dataclasses_of_tensors_do_not_compare_them() -> None:
    """Tensors compare element by element, so that `==` and `in` would raise and `hash` tell nothing."""
    for _, path in EVERY:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                kinds = [ast.unparse(kind) for kind in node.decorator_list if "dataclass" in ast.unparse(kind)]
                fields = [ast.unparse(entry.annotation) for entry in node.body if isinstance(entry, ast.AnnAssign)]
                if kinds and any("Tensor" in kind for kind in fields):
                    assert "eq=False" in kinds[0], f"{path.relative_to(ROOT)}: {node.name} compares tensors"
