"""What people call the things that detectors name: synonyms, plurals and kinds of the 80 classes of COCO.

COCO: Lin et al., "Microsoft COCO: Common Objects in Context", ECCV 2014. Labels of other sets are known by themselves.
"""

from functools import lru_cache

from qa.parse import stem

_KINDS = {
    "person": "person",
    "vehicle": "bicycle, car, motorcycle, airplane, bus, train, truck, boat",
    "outdoor": "traffic light, fire hydrant, stop sign, parking meter, bench",
    "animal": "bird, cat, dog, horse, sheep, cow, elephant, bear, zebra, giraffe",
    "accessory": "backpack, umbrella, handbag, tie, suitcase",
    "sports": "frisbee, skis, snowboard, sports ball, kite, baseball bat, baseball glove, skateboard, surfboard, tennis racket",
    "kitchen": "bottle, wine glass, cup, fork, knife, spoon, bowl",
    "food": "banana, apple, sandwich, orange, broccoli, carrot, hot dog, pizza, donut, cake",
    "furniture": "chair, couch, potted plant, bed, dining table, toilet",
    "electronic": "tv, laptop, mouse, remote, keyboard, cell phone",
    "appliance": "microwave, oven, toaster, sink, refrigerator",
    "indoor": "book, clock, vase, scissors, teddy bear, hair drier, toothbrush",
}
_SYNONYMS = {
    "person": """people, man, men, woman, women, boy, girl, child, children, kid, baby, human, pedestrian, guy, lady, gentleman, somebody,
        someone, anybody, anyone, nobody, no one, everybody, worker, player, policeman, policewoman, officer, waiter, cook, visitor,
        customer, driver, rider, cyclist, runner, astronaut, tramp, crowd""",
    "bicycle": "bike, pushbike", "car": "automobile, taxi, cab, sedan", "motorcycle": "motorbike, moped, scooter",
    "airplane": "aeroplane, plane, aircraft, jet", "truck": "lorry, van", "boat": "ship, ferry, canoe",
    "bird": "pigeon, duck, gull, seagull",
    "cat": "kitten, kitty", "dog": "puppy, doggy", "horse": "pony", "sheep": "lamb", "cow": "cattle, calf, bull", "backpack": "rucksack",
    "handbag": "purse", "suitcase": "luggage", "sports ball": "ball, football", "wine glass": "wineglass, goblet", "cup": "mug, teacup",
    "knife": "knives", "donut": "doughnut", "couch": "sofa, settee", "potted plant": "pottedplant, houseplant, plant",
    "dining table": "diningtable, table, desk", "tv": "tvmonitor, television, tv monitor, monitor", "laptop": "notebook computer",
    "mouse": "mice", "remote": "remote control", "cell phone": "phone, mobile phone, smartphone, cellphone, telephone",
    "refrigerator": "fridge", "hair drier": "hair dryer, hairdryer", "teddy bear": "teddy", "skis": "ski",
    "broccoli": "", "fire hydrant": "hydrant", "tennis racket": "racket", "scissors": "",
}  # fmt: skip
_ANY_OF = {"animal": "animal", "pet": "animal", "vehicle": "vehicle", "traffic": "vehicle", "furniture": "furniture", "food": "food"}
WEAK = frozenset("who whom whose he she him his her hers".split())
"""Words that mean a person where the question names nothing else."""
MOVING = ("person", "vehicle", "animal")
"""Kinds that something is empty of."""

KIND_OF = {name: kind for kind, names in _KINDS.items() for name in names.split(", ")}


def stems(text: str) -> tuple[str, ...]:
    return tuple(stem(word) for word in text.lower().replace("-", " ").split())


@lru_cache
def _names() -> dict[tuple[str, ...], frozenset[str]]:
    """Stems of a name, a synonym or a kind to the classes that it means."""
    known = {stems(name): frozenset({name}) for name in KIND_OF}
    for name, synonyms in _SYNONYMS.items():
        known |= {stems(each.strip()): frozenset({name}) for each in synonyms.split(",") if each.strip()}
    return known | {stems(word): of_kind(kind) for word, kind in _ANY_OF.items()}


def of_kind(*kinds: str) -> frozenset[str]:
    return frozenset(name for name, kind in KIND_OF.items() if kind in kinds)


def meant_by(words: tuple[str, ...]) -> frozenset[str]:
    """The classes that a phrase, as stems, means; none where it is no name."""
    return _names().get(words, frozenset())


def class_of(label: str) -> str:
    """A detector's label as COCO names it, or as it is."""
    found = meant_by(stems(label))
    return next(iter(found)) if len(found) == 1 else label.lower()
