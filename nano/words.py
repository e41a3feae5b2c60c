"""What the world is made of, and which parts of it training never sees."""

from functools import cache

import numpy as np

COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (214, 36, 40), "orange": (242, 128, 24), "yellow": (242, 222, 48), "green": (36, 156, 60), "cyan": (60, 212, 222),
    "blue": (36, 66, 216), "purple": (128, 44, 176), "pink": (248, 136, 196), "white": (244, 244, 244), "black": (16, 16, 16),
}  # fmt: skip
SHAPES = ("circle", "square", "triangle", "star", "cross", "ring", "heart", "moon", "arrow", "diamond")
SIZES = {"small": 22, "medium": 30, "large": 40}
"""Diameter in pixels of a 128-pixel frame."""
TEXTURES = ("plain", "striped", "dotted")
DIRECTIONS = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}
NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
COLUMNS, ROWS = "bcdefghi", "stuvwxyz"
"""Where on the picture, in eighths from the left and from above, as the letters that the model says for them."""

Kind = tuple[str, str]
"""(colour, shape)"""
SPLITS = ("train", "val", "test")

_WORDS = (
    "ABLE ACID ARCH ARMY ATOM AXIS BAKE BARN BEAR BELL BIRD BOAT BONE BOOK BUSH CAKE CALM CAMP CART CAVE CHEF CITY CLAY COAL COIN CORN "
    "CRAB DAWN DEER DESK DICE DOCK DOOR DRUM DUCK DUST EAST EDGE EPIC EXIT FACE FARM FERN FILM FIRE FISH FLAG FOAM FORK FROG GATE GIFT "
    "GOAT GOLD GRID HARP HAWK HERB HILL HIVE HOOK HORN ICON INCH IRIS IRON ITEM JADE JAZZ JOKE JUMP KELP KING KITE KNOT LAKE LAMP LEAF "
    "LIME LION LOFT LUNG MAZE MENU MILK MINT MOSS NEST NOON NOVA OATH OBOE ONYX OVEN PALM PARK PEAK PIER PLUM POND QUIZ RAIN REEF RICE "
    "ROAD ROOF ROPE SAIL SALT SAND SEED SHIP SILK SNOW SODA SOUP SWAN TACO TENT TIDE TOWN TREE TUBE TUNA UNIT VASE VEST VIEW VINE WALL "
    "WAVE WEST WHEY WING WOLF WOOD YARD YARN YOGA ZERO ZINC ZONE SUN SKY BOX HAT KEY MAP OWL PEN RUG VAN PLANT RIVER STONE TIGER BREAD "
    "CLOUD GRAPE HOUSE LEMON MUSIC OCEAN PIANO QUEEN ROBOT SUGAR TRAIN UNCLE VIOLA WHALE ZEBRA"
).split()


@cache
def kinds(split: str, *, held_out_only: bool = False) -> tuple[Kind, ...]:
    """Colour-shape pairs of a split: 80 in training; val and test each add ten of their own that training never sees."""
    found = []
    for i, colour in enumerate(COLOURS):
        for j, shape in enumerate(SHAPES):
            owner = {0: "val", 5: "test"}.get((i + 3 * j) % 10, "train")
            if owner == split or (owner == "train" and not held_out_only):
                found.append((colour, shape))
    return tuple(found)


@cache
def words(split: str, *, held_out_only: bool = False) -> tuple[str, ...]:
    """Words for signs; every eighth belongs to val, every eighth to test, and training never writes those."""
    owners = {1: "val", 5: "test"}
    owned = [(word, owners.get(k % 8, "train")) for k, word in enumerate(_WORDS)]
    return tuple(word for word, owner in owned if owner == split or (owner == "train" and not held_out_only))


def is_held_out(kind: Kind) -> bool:
    return kind not in kinds("train")


def spelled(rng: np.random.Generator, split: str) -> str:
    """What a sign says: a word, a number of two to four digits or, in training, letters at random."""
    draw = rng.random()
    if draw < 0.25:
        return str(rng.integers(10, 10 ** int(rng.integers(2, 5))))
    if split == "train" and draw < 0.7:
        made = "".join(rng.choice(list(LETTERS[:26]), int(rng.integers(3, 6))))
        return made if made not in _WORDS else "QX" + made[:2]
    return str(rng.choice(words(split)))
