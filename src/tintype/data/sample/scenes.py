"""The scenes, one function per class.

Hue follows from structure, as it does outdoors: a daisy is white around yellow, a low sun reddens sand and sky, dry
grass is pale. Some colors are ambiguous on purpose, such as a red or green apple, or the color of a tulip.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image

from tintype.data.sample.canvas import Canvas, blend, rgb, soft


def daylight(c: Canvas, horizon: float) -> float:
    """Paint a sky that is blue, cloudy or both. Return the brightness of the land under it."""
    cover = float(c.rng.choice([-3.0, c.between(-0.8, 0.5), 3.0], p=[0.3, 0.55, 0.15]))
    zenith, rim = c.tone("2f6fc0", "4a86cf", "2b5fa8"), c.tone("b9d6ec", "d8e4ea", "a4c8e8")
    c.paint(1.0, blend(zenith, rim, c.y / horizon))
    clouds = c.noise(2.5, 2.5, 4)
    c.paint(np.clip((clouds + cover) * 0.8, 0, 0.95), rgb("f4f4f2"), 1 - 0.07 * np.maximum(0, clouds + cover * 0.6))
    return 0.8 if cover > 1 else c.between(0.95, 1.1)


def meadow(c: Canvas) -> None:
    """Paint grass under the sky, green or (in late summer) dry, with trees, poppies or buttercups."""
    horizon = c.between(0.3, 0.55)
    sun = daylight(c, horizon)
    for layer in range(2):
        hills = c.skyline(horizon - 0.06 * (1 - layer), 0.07, 2)
        c.paint(c.below(hills), c.tone("5f8596", "6d9478"), sun - 0.15 * layer)
    dry = c.chance(0.3)  # dry grass is pale and even, green grass is darker and shows its blades
    grass = c.tone("c2a456", "b59a4a", "cdb878") if dry else c.tone("4d7a26", "6a9a33", "3c6b2a")
    blades = c.noise(28, 0.35, 2)
    shade = 1 + 0.1 * c.ground(horizon, 1.2) + (0.05 if dry else 0.14) * blades * c.y
    c.paint(c.below(horizon + 0.01), grass, sun * shade)
    for _ in range(c.rng.integers(0, 5)):
        x, size = c.between(0, c.right), c.between(0.05, 0.15)
        y = horizon - 0.7 * size
        c.paint(soft(0.012 - abs(c.x - x)) * soft(size - abs(c.y - y - size)), c.tone("4a3524"), 0.8)
        _, shade, u, v = c.blob(x, y, size * c.between(0.7, 1.1), size)
        crown = soft((1 - np.hypot(u, v) + 0.13 * blades) * size)
        c.paint(crown, c.tone("2f5722", "48702a"), sun * shade + 0.12 * blades)
    if c.chance(0.45):  # poppies are large, dark blossoms; buttercups are fine, light dots
        poppies = c.chance(0.5)
        petals = c.tone("c8281e", "d84030") if poppies else c.tone("f0d030", "f6e26a")
        dots = c.ground(horizon, 5 if poppies else 9) - c.between(1.2, 1.8)
        c.paint(soft(dots, 0.3) * c.below(horizon + 0.04), petals)


def sunset(c: Canvas) -> None:
    """Paint the sun over the sea: golden while it stands high, then red, and violet after it has set."""
    horizon, x, height = c.between(0.45, 0.7), c.between(0.15, 0.85) * c.right, c.between(-0.08, 0.3)
    day = min(1, max(0, height / 0.25))
    zenith = c.tone("27305c", "3c3f74") * (1 - day) + c.tone("7a93b4", "64789c") * day
    rim = c.tone("b04a62", "c85a48") * (1 - day) + c.tone("eea04e", "e8b46a") * day
    distance = np.hypot(c.x - x, c.y - horizon + height)
    c.paint(1.0, blend(zenith, rim, (c.y / horizon) ** 1.4))
    c.paint(0.9 * np.exp(-distance / c.between(0.12, 0.25)), rgb("ffc860"))
    clouds = np.clip(c.noise(5, 4, 3) * 0.4, 0, 0.6)
    c.paint(clouds, blend(rgb("f08a5a"), rgb("6a4a6a"), distance * 1.3))
    c.paint(soft(0.045 - distance), rgb("fff4cc"))
    ripple = c.ground(horizon, 0.8, 3)
    c.mirror(horizon, c.tone("1c2c48", "2a3a50"), 0.7, ripple)
    glitter = np.exp(-(((c.x - x) / (0.03 + 0.25 * np.maximum(0, c.y - horizon))) ** 2)) * soft(ripple - 0.2, 1)
    c.paint(glitter * c.below(horizon + 0.01), rgb("ffd890"), 0.6 + 0.4 * day)
    dark = c.tone("241c2c", "302438")
    if c.chance(0.5):  # a headland
        rise = 0.3 * abs(c.x - c.right * c.chance(0.5)) - 0.15
        c.paint(c.below(c.skyline(horizon, 0.05, 2) + rise) * soft(horizon + 0.02 - c.y), dark)
    if c.chance(0.4):  # a sail
        boat, size = c.between(0.1, 0.9) * c.right, c.between(0.1, 0.25)
        c.paint(soft(np.minimum((c.y - horizon + size) / 3 - abs(c.x - boat), horizon + 0.03 - c.y)), dark)


def forest(c: Canvas) -> None:
    """Paint trunks in the haze, with green leaves in summer.

    White birches occur mostly in autumn, when the leaves are light.
    """
    baseline, birch = c.between(0.6, 0.8), c.chance(0.35)
    autumn = c.chance(0.8 if birch else 0.25)
    leaf = ("c8781e", "d8a02c", "b8501c") if autumn else ("3f6e22", "5a8a2e", "2c5a2c")
    haze = c.tone("e8d8a0", "dccfa8") if autumn else c.tone("c0d49a", "a8c4a0")
    litter = c.tone("8a5a2c", "9a6a34") if autumn else c.tone("4a5a26", "5a5028", "3f5a2a")
    bark = ("d8d4c8", "e4e0d8") if birch else ("5a4230", "4a382c", "6a5040")
    c.paint(1.0, haze, 0.8 + 0.1 * c.noise(3) - 0.25 * c.y)
    fine = c.noise(16, 1, 2)
    streaks = 0.4 * np.clip(c.noise(20, 2, 2) + 0.8, -1, 0) if birch else 0.12 * c.noise(9, 0.2, 2)
    for near in (0.1, 0.55, 1.0):
        shade = 1.15 - 0.4 * near
        for x in c.rng.uniform(0, c.right, 8 - int(5 * near)).tolist():
            wide, lean = 0.008 + 0.035 * near * c.between(0.6, 1.4), c.between(-0.06, 0.06)
            side = (c.x - x - lean * c.y) / wide
            trunk = soft((1 - abs(side)) * wide) * soft(baseline + 0.12 * near - c.y)
            c.paint(trunk * (0.5 + 0.5 * near), c.tone(*bark), shade * (0.95 - 0.3 * side) + streaks)
        crowns = c.noise(6 - 2 * near, 1, 5) - 4 * (c.y - 0.2 + 0.12 * near)
        c.paint(soft(crowns, 0.5) * (0.6 + 0.3 * near), c.tone(*leaf), shade + 0.25 * fine)
        c.paint(c.below(c.skyline(baseline + 0.1 * near, 0.05, 5)), litter, shade + 0.12 * fine)


def desert(c: Canvas) -> None:
    """Paint dunes, perhaps with a saguaro. The lower the sun, the longer the shadows and the redder the sand."""
    horizon, low = c.between(0.25, 0.5), c.between(0, 1)
    zenith, rim = c.tone("3a6cb4", "5a8ac4"), c.tone("c8d8e4", "e4dcc8")
    c.paint(1.0, blend(zenith, rim, c.y / horizon), 1.05 - 0.15 * low)
    sand = c.tone("dcb478", "d8aa6c", "e0c08c") * (1 - low) + c.tone("c87838", "b8642c", "cc8648") * low
    grain, warp = c.noise(20, 2, 2), c.noise(3)
    for near in np.linspace(0, 1, 4):
        line = c.skyline(horizon + 0.42 * near**1.3, 0.06 + 0.12 * near, 1.3, 2)
        lee = soft(c.y - line - c.skyline(0.06, 0.15, 1.6, 2), 0.05)  # crests separate light from shadow
        ripples = 0.05 * near * np.sin((c.y + 0.05 * warp) * 90 / (0.5 + near)) + 0.03 * grain
        shadow = (0.2 + 0.35 * low) * lee * (0.6 + 0.4 * near)
        c.paint(c.below(line), sand, 1.06 - 0.06 * near - shadow + ripples)
    for _ in range(c.rng.integers(1, 4) if c.chance(0.4) else 0):
        foot, size = c.between(horizon + 0.25, 0.9), c.between(0.2, 0.45)
        dx, dy = c.x - c.between(0.15, 0.85) * c.right, c.y - foot + 0.4 * size
        arms = abs(np.where(dy > 0, np.hypot(dx, dy), abs(dx)) - 0.2 * size)  # a U
        cactus = np.maximum(0.05 * size - np.where(dy > -0.3 * size, arms, 1), 0.08 * size - abs(dx))
        mask = soft(cactus) * soft(foot - c.y) * c.below(foot - size)
        c.paint(mask, c.tone("4a6a34", "5c7848"), 0.9 + 0.2 * np.sin(dx * 150) - 1.5 * dx)


def mountains(c: Canvas) -> None:
    """Paint rock, snow on high and gentle slopes, pines, and a lake or a pasture."""
    foot = c.between(0.6, 0.75)
    sun = daylight(c, foot)
    for near in (0.0, 1.0):
        crest = c.skyline(0.25 + 0.15 * near, 0.28, 1.6, 5)
        relief = c.noise(4, 0.8, 5)
        slope = np.clip(np.roll(relief, 2, 1) - relief, -0.7, 0.4)  # slopes facing left are in the sun
        rock = blend(rgb("8ea4bc"), c.tone("6a6a70", "7a7068", "5c6068"), 0.4 + 0.6 * near)
        snow = soft(c.between(0.1, 0.3) + 0.08 * relief - (c.y - crest), 0.06)
        c.paint(c.below(crest), blend(rock, rgb("f0f2f6"), snow), sun * (0.9 + 0.45 * slope))
    pines = c.skyline(foot - 0.04, 0.05, 2) - 0.06 * abs(np.sin(c.x * c.between(60, 90)))
    c.paint(c.below(pines), c.tone("24402c", "2c4a34", "385a38"), sun * (0.85 + 0.2 * c.noise(20, 0.4, 2)))
    if c.chance(0.6):
        c.mirror(foot, c.tone("2c7a86", "3a6a8c", "4a94a0"), 0.45, c.ground(foot, 0.8, 3))
    else:
        c.paint(c.below(foot + 0.02), c.tone("6a9040", "7c9a4a", "5a7a38"), sun * (0.95 + 0.12 * c.ground(foot, 1.5)))


FRUIT: dict[str, tuple[float, float, float, list[tuple[str, str]]]] = {  # width, height, tilt, colors per ripeness
    "orange": (1.0, 0.97, 0.0, [("f08a18", "e87a10")]),
    "apple": (1.0, 0.93, 0.0, [("b81c20", "c83028"), ("8cb030", "a0bc48")]),
    "lemon": (1.15, 0.8, 0.5, [("f0d028", "e8c820")]),
    "plum": (0.62, 0.7, 0.2, [("4a2450", "5a2a4c")]),
    "pear": (0.85, 0.95, 0.0, [("b8b83c", "a8b048")]),
    "banana": (1.7, 0.75, 0.3, [("f0cc38", "e4c040")]),
}


def fruit(c: Canvas) -> None:
    """Paint a still life on grained wood or on cloth. The wall behind is dark blue-green or light cream."""
    table, dark = c.between(0.4, 0.6), c.chance(0.45)
    wall = c.tone("2c4a50", "34405a", "3a5048") if dark else c.tone("d8ccb4", "c8c0b0", "e0d4c4")
    c.paint(1.0, wall, 1.1 - 0.4 * c.x / c.right + 0.04 * c.noise(3))
    if c.chance(0.7):
        grain = c.noise(16, 8, 3) + 0.4 * np.sin(c.y * c.between(30, 60))
        c.paint(c.below(table), c.tone("8a5a34", "6e4628", "a07448"), 0.9 + 0.1 * grain + 0.2 * (c.y - table))
    else:
        c.paint(c.below(table), c.tone("d8dce4", "e8e4dc"), 0.9 + 0.05 * c.noise(4, 1, 4))
    skins = {"orange": 0.05 * c.noise(30, 1, 1), "apple": 0.05 * c.noise(14, 0.3, 2)}
    kinds = c.rng.choice(list(FRUIT), 2)
    for foot in np.sort(c.rng.uniform(table + 0.1, 0.92, c.rng.integers(3, 7))).tolist():
        kind = str(c.rng.choice(kinds))
        wide, high, tilt, ripenesses = FRUIT[kind]
        color = c.tone(*ripenesses[c.rng.integers(len(ripenesses))])
        x, r = c.between(0.15, 0.85) * c.right, c.between(0.13, 0.19) * (0.8 + 0.4 * foot)
        y = foot - r * high
        c.paint(0.6 * c.blob(x + 0.35 * r, foot - 0.05 * r, 1.25 * r * wide, 0.4 * r)[0], rgb("20180f"))
        if kind == "pear":
            mask, shade, *_ = c.blob(x, y - r * 0.8, r * 0.5, r * 0.8)
            c.paint(mask, color, shade)
        mask, shade, u, v = c.blob(x, y, r * wide, r * high, tilt)
        if kind == "banana":
            mask = mask * soft((np.hypot(u, v + 0.75) - 0.8) * r)
        if kind == "lemon":
            mask = np.maximum(mask, c.blob(x, y, r * wide * 1.25, r * 0.3, tilt)[0])
        c.paint(mask, color, shade + skins.get(kind, 0.0))
        c.paint(0.6 * np.exp(-9 * ((u + 0.4) ** 2 + (v + 0.4) ** 2)) * mask, rgb("ffffff"))
        if kind == "apple":
            c.paint(soft(0.012 - abs(c.x - x - 0.1 * (y - c.y))) * soft(r * 0.3 - abs(c.y - y + r)), rgb("4a3018"))


@dataclass(frozen=True)
class Flower:
    """The looks of a kind of flower.

    A flower without petals has a tulip's cup. `colors` holds pairs of colors to mix, with their probabilities.
    """

    number: int
    radius: float
    petals: int
    colors: dict[tuple[str, str], float]
    heart: str = ""
    heart_size: float = 0


FLOWERS = [
    Flower(6, 0.17, 13, {("f4f2ec", "fbfaf6"): 1.0}, "e8b020", 0.3),  # daisy
    Flower(3, 0.3, 19, {("f0b818", "f4c828"): 1.0}, "4a2c14", 0.45),  # sunflower
    Flower(5, 0.19, 0, {("c81c28", "d83030"): 0.5, ("e078a0", "d85a90"): 0.35, ("e8b830", "f0c84c"): 0.15}),  # tulip
    Flower(7, 0.16, 5, {("5a3ca0", "6a48b4"): 0.7, ("4a4ab0", "5864c0"): 0.3}, "f0c840", 0.14),  # violet
    Flower(4, 0.25, 4, {("d02818", "e04020"): 1.0}, "201418", 0.25),  # poppy
]


def flowers(c: Canvas) -> None:
    """Paint a close-up of one kind of flower before blurred greenery. The shape of the petals tells their hue."""
    kind = FLOWERS[c.rng.integers(len(FLOWERS))]
    pairs = list(kind.colors)
    colors = pairs[c.rng.choice(len(pairs), p=list(kind.colors.values()))]
    c.paint(1.0, c.tone("2c4a22", "48682e", "5c7a40", "33502c"), 0.95 + 0.2 * c.noise(3, 1, 2))
    leaf, grain = c.tone("3c6a28", "5a8a3a"), c.noise(30, 1, 1)
    number = kind.number + int(c.rng.integers(-1, 2))
    columns = c.rng.permutation(number).tolist()
    for column, y in zip(columns, sorted(c.rng.uniform(0.2, 0.75, number).tolist()), strict=True):
        x = (column + c.between(0.1, 0.9)) / number * c.right
        r = kind.radius * c.between(0.75, 1.2)
        c.paint(soft(0.014 - abs(c.x - x - 0.08 * np.sin(4 * (c.y - y)))) * c.below(y), leaf, 0.8)
        mask, shade, *_ = c.blob(x + 0.08, y + 0.3, 0.035, 0.18, c.between(-0.7, 0.7))
        c.paint(mask, leaf, shade + 0.1)
        u, v = (c.x - x) / r, (c.y - y) / (r * c.between(0.75, 1))
        if not kind.petals:
            points = abs(np.cos(np.pi * 1.5 * u))
            cup = np.minimum(1 - np.hypot(u * 1.35, np.where(v > 0, v, v * 0.4)), v + 0.75 + 0.35 * points)
            c.paint(soft(cup * r), c.tone(*colors), 0.75 + 0.3 * points - 0.2 * (u + v))
            continue
        rho = np.hypot(u, v)
        fold = abs(np.cos((np.arctan2(v, u) + c.between(0, 6)) * kind.petals / 2))
        petal = 0.75 + 0.25 * fold**0.5 if kind.petals < 6 else 0.62 + 0.38 * fold**0.6
        c.paint(soft((petal - rho) * r), c.tone(*colors), 0.7 + 0.3 * fold + (0.1 - 0.15 * (u + v)) * rho)
        mask, shade, *_ = c.blob(x, y, r * kind.heart_size, r * kind.heart_size)
        c.paint(mask, rgb(kind.heart), shade + 0.15 + 0.15 * grain)


def city(c: Canvas) -> None:
    """Paint a street front, mirrored in the wet road, by day or at dusk with lit windows."""
    street, dusk = c.between(0.75, 0.88), c.chance(0.6)
    if dusk:
        glow = c.tone("c8785a", "a8607a", "d89a6a")
        c.paint(1.0, blend(c.tone("1c2a5a", "2c3c70"), glow, (c.y / 0.75) ** 1.5))
    else:
        daylight(c, street)
    foot = int(street * c.height)
    for near in (0.55, 1.0):
        left = -int(c.between(0, 10))
        while left < c.width:
            wide, top = int(c.between(12, 28)), int((c.between(-0.03, 0.3) + 0.25 * near) * c.height)
            facade(c, slice(top, foot), slice(max(0, left), left + wide), near, dusk)
            left += wide + int(c.between(0, 6))
    road = c.tone("2c2c34", "3a3a40") if dusk else c.tone("6a6a6c", "7a7874")
    c.mirror(street, road, 0.5 if dusk else 0.15, c.ground(street, 1, 2))


def facade(c: Canvas, rows: slice, columns: slice, near: float, dusk: bool) -> None:
    """Paint a building, dark with lit windows at dusk.

    By day it is brick (coursed), plaster (smooth) or glass (mostly windows).
    """
    part = c.rgb[:, rows, columns]
    row, column = np.arange(part.shape[1])[:, None], np.arange(part.shape[2])
    kind, tones, coursed, story, bay = [
        ("brick", ("9a4a34", "8a3c2c", "a85c40"), 0.12, 6, 5),
        ("plaster", ("d8c8a4", "e4d8c0", "c8c0b4"), 0.0, 6, 5),
        ("glass", ("5a8098", "6c94ac"), 0.0, 4, 3),
    ][c.rng.choice(3, p=[0.4, 0.35, 0.25])]
    wall = c.tone("26283c", "343048", "2a3448") if dusk else c.tone(*tones) * (1 + coursed * (-1) ** row)
    pane = (row % story >= 2) & (column % bay >= (1 if kind == "glass" else 2)) & (row > 3)
    lit = (c.rng.random((len(row) // story + 1, len(column) // bay + 1)) < 0.45)[row // story, column // bay]
    lamp, glass = c.tone("ffd070", "f8b850", "ffe4a0"), c.tone("3a4654", "4a5a6c")
    window = np.where(lit, lamp, wall * 0.8) if dusk else glass * (1 + 0.4 * lit)
    part += near * (np.where(pane, window, wall) - part)


SCENES: dict[str, Callable[[Canvas], None]] = {
    scene.__name__: scene for scene in (city, desert, flowers, forest, fruit, meadow, mountains, sunset)
}


def draw_scene(name: str, seed: np.random.SeedSequence) -> Image.Image:
    """Return one RGB photo of the class `name`, drawn from its own seed. Its sides have 80 to 128 pixels."""
    canvas = Canvas(np.random.default_rng(seed))
    SCENES[name](canvas)
    return canvas.developed()
