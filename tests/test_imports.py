"""The order of the rooms: a module imports only from rooms above its own, and Gradio stays in the app."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = (
    {"errors", "files", "locks"},
    {"config"},
    {"base_model_files"},
    {"images", "base_model", "prompts", "targets", "offsets", "smoothing"},
    {"style", "hypernet", "split_unet", "masks", "scores", "anchor"},
    {"attention"},
    {"denoise"},
    {"inversion", "reference"},
    {"content", "blend", "attach", "preview", "lora"},
    {"capture", "pipelines", "recipe", "injection"},
    {"api"},
    {"batch"},
    {"cli", "demo", "doctor"},
    {"studio"},
    {"ui"},
    {"app"},
)
NAMES = set().union(*ROOMS)


def sources() -> Iterator[tuple[str, Path]]:
    """(room name, file) of everything that has a room."""
    for path in sorted((ROOT / "sigstyle").glob("*.py")):
        if path.stem not in ("__init__", "__main__"):
            yield path.stem, path
    for path in sorted((ROOT / "pipelines").glob("*.py")):
        yield "pipelines", path
    for path in sorted((ROOT / "sigstyle" / "ui").glob("*.py")):
        yield "ui", path
    if (ROOT / "app.py").exists():
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


def ours(names: set[str]) -> set[str]:
    """Those of these full names that are modules of ours, without the package: 'images', 'pipelines'."""
    modules = {name for name, _ in sources()}
    inside = {name.split(".")[1] for name in names if name.startswith("sigstyle.")} & modules
    return inside | ({"pipelines"} if any(name.split(".")[0] == "pipelines" for name in names) else set())


def room_of(module: str) -> str:
    """The room of a module: 'capture_state' belongs to 'capture'."""
    room = module if module in NAMES else module.split("_")[0]
    assert room in NAMES, f"{module}.py has no room yet: give it one in ROOMS"
    return room


def level(module: str) -> int:
    """How far down a module's room is."""
    return next(number for number, names in enumerate(ROOMS) if room_of(module) in names)


@pytest.mark.parametrize(("module", "path"), list(sources()), ids=lambda value: getattr(value, "name", value))
def test_a_room_imports_only_rooms_above_it(module: str, path: Path) -> None:
    for other in ours(imported(path)):
        assert level(other) <= level(module), f"{path.name} imports {other}, which is below it"


def test_rooms_beside_each_other_have_no_cycles() -> None:
    edges: dict[str, set[str]] = {}
    for module, path in sources():
        edges.setdefault(module, set()).update(ours(imported(path)) - {module})
    while edges:
        leaves = {module for module, others in edges.items() if not others & set(edges)}
        assert leaves, f"a cycle among {sorted(edges)}"
        edges = {module: others for module, others in edges.items() if module not in leaves}


def test_capture_and_pipelines_do_not_know_each_other() -> None:
    apart = {"capture", "pipelines"}
    for module, path in sources():
        if room_of(module) in apart:
            met = {room_of(other) for other in ours(imported(path))} & apart
            assert met <= {room_of(module)}, path.name


def test_gradio_appears_in_the_app_and_its_page_only() -> None:
    for room, path in sources():
        assert room in ("app", "ui") or not any(name.split(".")[0] == "gradio" for name in imported(path)), path.name


def test_the_page_is_imported_by_the_app_only() -> None:
    for room, path in sources():
        assert room in ("app", "ui") or not any(name.startswith("sigstyle.ui") for name in imported(path)), path.name


@pytest.mark.parametrize("path", sorted((ROOT / "pipelines").glob("pipeline_*.py")), ids=lambda path: path.name)
def test_one_pipeline_class_is_visible_in_a_pipeline_file(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    visible = [node.name for node in tree.body if isinstance(node, ast.ClassDef) and node.name.endswith("Pipeline")]
    visible += [name for name in imported(path) if name.startswith("pipelines.") and name.endswith("Pipeline")]
    assert len(visible) == 1
