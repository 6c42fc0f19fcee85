"""Draws docs/architecture.svg, the map of the rooms: python docs/map.py"""

from dataclasses import dataclass
from html import escape
from pathlib import Path

WIDTH, MARGIN, GAP, LABEL = 1200, 28, 12, 190
FLOOR_HEIGHT, TOP = 74, 104
INK, SOFT, LINE, PAPER = "#1f2430", "#5a6272", "#c9ced8", "#ffffff"
PHOTO, STYLE = "#1769c4", "#c2530a"
FONT = "font-family='Helvetica, Arial, sans-serif'"


@dataclass(frozen=True)
class Room:
    """A folder or module: what is in it, its share of the floor, and the steps of the two walks that pass it."""

    name: str
    holds: str
    share: float = 1.0
    photo: str = ""
    style: str = ""


FLOORS: tuple[tuple[str, str, tuple[Room, ...]], ...] = (
    ("the page", "#f3f0fa", (Room("ui/", "page, tabs, endpoints, serve; gradio only here; app.py starts it"),)),
    (
        "front ends",
        "#f3f0fa",
        (
            Room("studio/", "people, one lane per device, the library of styles", 1.6),
            Room("cli/", "commands, flags from the configs; typer only here", 1.5),
        ),
    ),
    (
        "many pictures",
        "#eef4fb",
        (
            Room("batches/", "jobs, shared inversions, manifest, gallery; films", 1.6),
            Room("doctor", "what this machine can do"),
        ),
    ),
    (
        "front door",
        "#eef4fb",
        (
            Room("api", "capture, transfer, generate", 1.4, "1", "1"),
            Room("textures", "surfaces and seamless tiles"),
            Room("training_free", "a picture with nothing learned"),
        ),
    ),
    (
        "for diffusers",
        "#eef4fb",
        (
            Room("pipelines/", "thin diffusers pipelines over painting", 1.6),
            Room("parts", "regions, gradients, textures"),
            Room("repaint", "as often as it takes"),
            Room("recipe", "how a picture was made", 1, "9"),
            Room("result", "images and all about them", 1, "9"),
        ),
    ),
    (
        "the method",
        "#fdf3e7",
        (
            Room("learning/", "batches, learner, loop, state, statistics", 1.3, "", "4 6"),
            Room("painting/", "content, run, anchor, reference, generate, film, cost", 1.7, "4 6 8"),
        ),
    ),
    (
        "its parts",
        "#fdf3e7",
        (
            Room("style/", "style file, offsets, hypernet, attach, shipped", 1.5, "2 6", "5 7"),
            Room("diffusion/", "inversion, denoise, attention, preview", 1.4, "5 7"),
            Room("scoring/", "distances by networks", 1),
        ),
    ),
    (
        "the model, films",
        "#e9f6ee",
        (
            Room("base/", "load, devices, memory, prompts, encode and decode", 1.5, "4 8", "3"),
            Room("defaults", "what families change of dials"),
            Room("film/", "clips in and out, sound, shots, optical flow"),
        ),
    ),
    (
        "inputs",
        "#e9f6ee",
        (
            Room("imaging/", "the one image loader, masks, smoothing", 1.4, "3 8", "2"),
            Room("config", "every dial, its range and presets"),
        ),
    ),
    (
        "ground",
        "#f2f3f5",
        (
            Room("files", "whole or not at all"),
            Room("text", "checked, shown, JSON"),
            Room("names", "parts of a path"),
            Room("data", "where shipped data lies"),
            Room("errors", "what can go wrong"),
            Room("settings", "what configs are made of"),
            Room("places", "where, in words"),
            Room("version", "in one place", 0.8),
        ),
    ),
)


def text(x: float, y: float, words: str, size: int = 14, colour: str = INK, more: str = "") -> str:
    """One line of text."""
    return f"<text x='{x:.0f}' y='{y:.0f}' font-size='{size}' fill='{colour}' {FONT} {more}>{escape(words)}</text>"


def badges(right: float, y: float, steps: str, colour: str) -> tuple[str, float]:
    """Numbered dots that end at `right`, and where the next ones may end."""
    drawn = ""
    for step in reversed(steps.split()):
        drawn += f"<circle cx='{right - 11:.0f}' cy='{y:.0f}' r='11' fill='{colour}'/>"
        drawn += text(right - 11, y + 5, step, 13, PAPER, "text-anchor='middle' font-weight='bold'")
        right -= 27
    return drawn, right


def drawn_room(room: Room, x: float, y: float, width: float, fill: str) -> str:
    """A room with its name, what it holds, and the steps of both walks."""
    height = FLOOR_HEIGHT - GAP
    box = f"<rect x='{x:.0f}' y='{y:.0f}' width='{width:.0f}' height='{height}' rx='7' fill='{fill}' stroke='{LINE}'/>"
    photo, right = badges(x + width - 8, y + 19, room.photo, PHOTO)
    style, _ = badges(right, y + 19, room.style, STYLE)
    name = text(x + 14, y + 26, room.name, 17, INK, "font-weight='bold'")
    return box + photo + style + name + text(x + 14, y + 48, room.holds, 13, SOFT)


def drawn_floor(index: int) -> str:
    """One floor: its label, and its rooms side by side."""
    label, fill, rooms = FLOORS[index]
    y, x = TOP + index * FLOOR_HEIGHT, float(MARGIN + LABEL)
    free = WIDTH - MARGIN - x - GAP * (len(rooms) - 1)
    drawn = text(MARGIN, y + 36, label, 15, SOFT)
    for room in rooms:
        width = free * room.share / sum(other.share for other in rooms)
        drawn += drawn_room(room, x, y, width, fill)
        x += width + GAP
    return drawn


def drawn() -> str:
    """The whole map."""
    height = TOP + len(FLOORS) * FLOOR_HEIGHT + 8
    head = f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {height}' width='{WIDTH}' height='{height}'>"
    head += f"<rect width='{WIDTH}' height='{height}' fill='{PAPER}'/>"
    head += text(MARGIN, 40, "The rooms of SigStyle", 24, INK, "font-weight='bold'")
    head += text(MARGIN, 68, "A room imports only from the floors below it.", 15, SOFT)
    left = MARGIN + LABEL + 330
    for row, (colour, words) in enumerate(((STYLE, "a style's walk: one painting in, a style file out"),
                                           (PHOTO, "a photo's walk: photo and style in, picture out"))):  # fmt: skip
        head += f"<circle cx='{left}' cy='{39 + 27 * row}' r='9' fill='{colour}'/>"
        head += text(left + 18, 44 + 27 * row, words, 15)
    return head + "".join(map(drawn_floor, range(len(FLOORS)))) + "</svg>\n"


if __name__ == "__main__":
    Path(__file__).with_name("architecture.svg").write_text(drawn().replace("><", ">\n<"), encoding="utf-8")
