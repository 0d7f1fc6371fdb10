"""The things that the world is made of: their names, kinds and icons, the most important first.

The artist's control prompts come first, then the ten kinds in turn, so that the first N concepts are the best
N and every kind is among them. Every icon was looked at in every style; the unfitting ones are left out.
Belongs here: what is in the world. How it is drawn or worded does not (`pictures`, `captions`).

No flags, symbols, writing or skin tones, and no mushrooms: fungi come from the project's own generator.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import zip_longest

from fungal_assets.pocket.world.styles import STYLES
from fungal_assets.words import article_of


@dataclass(frozen=True)
class Concept:
    """One thing that the world holds.

    Attributes:
        name: As one would prompt it, such as `"hamburger"`.
        kind: One of the ten kinds, such as `"food"`.
        icons: Icon names by style; a picture takes one of them. Styles without a fitting icon are absent.
        article: `"a"`, `"an"`, `"the"`, or empty for plurals and stuffs.
        synonyms: Other names for it, without an article.
    """

    name: str
    kind: str
    icons: Mapping[str, tuple[str, ...]]
    article: str
    synonyms: tuple[str, ...] = ()

    @property
    def styles(self) -> tuple[str, ...]:
        """The styles that can draw it."""
        return tuple(self.icons)

    @property
    def phrase(self) -> str:
        """Its name with its article, such as `"a hamburger"`."""
        return f"{self.article} {self.name}".lstrip()


def _thing(
    name: str,
    *icons: str,
    article: str | None = None,
    also: tuple[str, ...] = (),
    **own_icons: str | None,
) -> Concept:
    """A row of the tables below; its kind is filled in later.

    Styles name an icon alike, by default as the concept is named, except that fxemoji drops the hyphens.
    `own_icons` gives a style its own icon name, or None where its icon is missing or shows something else.
    """
    shared = icons or (name.replace(" ", "-"),)
    by_style = {style.name: shared for style in STYLES}
    by_style["fxemoji"] = tuple(icon.replace("-", "") for icon in shared)
    by_style |= {style: (icon,) for style, icon in own_icons.items() if icon is not None}
    kept = {style: found for style, found in by_style.items() if own_icons.get(style, "") is not None}
    if article is None:
        article = article_of(name)
    return Concept(name, "", kept, article, also)


BASKET_GIRL = "girl holding a basket"

# The artist's own control prompts: what a tuned model must not forget.
CONTROLS: tuple[Concept, ...] = (
    replace(_thing("hamburger", also=("burger",)), kind="food"),
    replace(_thing(BASKET_GIRL, "girl"), kind="people"),
    replace(_thing("flower", "blossom", "hibiscus", "cherry-blossom"), kind="plants"),
)

_KINDS: dict[str, tuple[Concept, ...]] = {
    "people": (
        _thing("girl"),
        _thing("boy"),
        _thing("man"),
        _thing("woman"),
        _thing("baby"),
        _thing("dancer", "woman-dancing", fxemoji="dancer"),
        _thing("police officer", fxemoji="cop", also=("policeman",)),
        _thing("runner", "person-running", fxemoji="running"),
        _thing("princess"),
        _thing("father christmas", "santa-claus", article="", fxemoji="fatherchristmas", also=("santa",)),
        _thing("builder", "construction-worker", fxemoji="construct"),
        _thing("old man", fxemoji=None),
        _thing("cook", "man-cook", emojione=None, fxemoji=None, also=("chef",)),
        _thing("farmer", "man-farmer", emojione=None, fxemoji=None),
        _thing("robot", emojione=None, fxemoji=None),
        _thing("clown", "clown-face", fxemoji=None),
        _thing("cyclist", "person-biking", fxemoji=None),
    ),
    "objects": (
        _thing("basket", blob=None, emojione=None, fxemoji=None),
        _thing("key"),
        _thing("book", "open-book"),
        _thing("umbrella"),
        _thing("guitar"),
        _thing("clock", "alarm-clock", also=("alarm clock",)),
        _thing("light bulb", also=("lamp",)),
        _thing("camera"),
        _thing("telephone", fxemoji="blacktelephone"),
        _thing("bell"),
        _thing("balloon"),
        _thing("candle"),
        _thing("gift", "wrapped-gift", fxemoji="present", also=("present",)),
        _thing("scissors", article="", fxemoji="blackscissors"),
        _thing("bed", fxemoji=None),
        _thing("door"),
        _thing("television"),
        _thing("anchor"),
        _thing("hourglass", "hourglass-done", article="an", fxemoji="hourglass"),
        _thing("drum", fxemoji=None),
        _thing("pencil"),
        _thing("violin"),
        _thing("chair", "seat", also=("armchair",)),
        _thing("hammer"),
        _thing("diamond", "gem-stone", fxemoji="gem"),
    ),
    "animals": (
        _thing("cat", fxemoji="catside"),
        _thing("dog", fxemoji="dogside"),
        _thing("horse"),
        _thing("fish"),
        _thing("elephant"),
        _thing("rabbit", fxemoji="bunnyside"),
        _thing("bee", "honeybee"),
        _thing("frog"),
        _thing("turtle"),
        _thing("butterfly", fxemoji=None),
        _thing("penguin"),
        _thing("owl", fxemoji=None),
        _thing("snail"),
        _thing("cow"),
        _thing("pig", fxemoji="pigside"),
        _thing("octopus"),
        _thing("lion", fxemoji=None),
        _thing("crab", fxemoji=None),
        _thing("snake"),
        _thing("panda", fxemoji="pandaface"),
        _thing("spider"),
        _thing("ladybird", "lady-beetle", also=("ladybug",)),
        _thing("whale", "spouting-whale", fxemoji="spurtingwhale"),
        _thing("monkey"),
        _thing("fox", fxemoji=None),
    ),
    "food": (
        _thing("apple", "red-apple"),
        _thing("banana"),
        _thing("pizza", fxemoji="sliceofpizza"),
        _thing("strawberry"),
        _thing("ice cream", "soft-ice-cream", also=("ice cream cone",)),
        _thing("birthday cake"),
        _thing("carrot", fxemoji=None),
        _thing("doughnut", also=("donut",)),
        _thing("watermelon", article="a"),
        _thing("lemon"),
        _thing("grapes", article=""),
        _thing("bread", article=""),
        _thing("fried egg", "cooking"),
        _thing("cherries", article=""),
        _thing("pineapple"),
        _thing("cheese", "cheese-wedge", article="", fxemoji=None),
        _thing("french fries", article="", also=("chips",)),
        _thing("coffee", "hot-beverage", article=""),
        _thing("hot dog", fxemoji=None),
        _thing("aubergine", "eggplant", fxemoji="aubergine", also=("eggplant",)),
        _thing("lollipop"),
        _thing("tomato"),
        _thing("avocado", fxemoji=None),
    ),
    "plants": (
        _thing("tree", "deciduous-tree"),
        _thing("rose"),
        _thing("sunflower"),
        _thing("cactus"),
        _thing("tulip"),
        _thing("palm tree"),
        _thing("pine tree", "evergreen-tree", fxemoji="evergreen"),
        _thing("maple leaf"),
        _thing("four leaf clover", also=("clover",)),
        _thing("seedling"),
        _thing("bouquet", also=("bunch of flowers",)),
        _thing("christmas tree"),
        _thing("ear of rice", "sheaf-of-rice", fxemoji="earofrice"),
    ),
    "vehicles": (
        _thing("car", "automobile"),
        _thing("aeroplane", "airplane", also=("airplane", "plane")),
        _thing("sailing boat", "sailboat", also=("sailboat",)),
        _thing("bicycle", also=("bike",)),
        _thing("train", "locomotive", fxemoji="steamlocomotive", also=("steam train",)),
        _thing("rocket"),
        _thing("bus"),
        _thing("helicopter"),
        _thing("ship"),
        _thing("tractor"),
        _thing("motorcycle", also=("motorbike",)),
        _thing("fire engine", also=("fire truck",)),
        _thing("lorry", "delivery-truck", emojione=None, also=("truck",)),
        _thing("taxi", blob=None),
        _thing("canoe", fxemoji=None),
        _thing("scooter", "motor-scooter", fxemoji=None),
        _thing("tram"),
        _thing("cable car", "aerial-tramway"),
    ),
    "buildings": (
        _thing("house", fxemoji="housebuilding"),
        _thing("castle", fxemoji="europeancastle"),
        _thing("church"),
        _thing("tent", fxemoji=None),
        _thing("ferris wheel", fxemoji=None),
        _thing("factory"),
        _thing("tower", "tokyo-tower", fxemoji=None),
        _thing("temple", "classical-building"),
        _thing("mosque", fxemoji=None),
        _thing("circus tent"),
        _thing("fountain", fxemoji=None),
        _thing("stadium"),
        _thing("pagoda", "japanese-castle"),
        _thing("shrine gate", "shinto-shrine", fxemoji=None),
        _thing("office building", article="an"),
        _thing("bridge", "bridge-at-night"),
    ),
    "sky": (
        _thing("sun", article="the", fxemoji="whitesun"),
        _thing("moon", "crescent-moon", article="the", also=("crescent moon",)),
        _thing("star"),
        _thing("rainbow", fxemoji=None),
        _thing("cloud"),
        _thing("fire", article=""),
        _thing("snowman", "snowman-without-snow"),
        _thing("volcano"),
        _thing("mountain", "snow-capped-mountain", fxemoji="snowmountains"),
        _thing("lightning", "high-voltage", article="", fxemoji="lightningmood", also=("lightning bolt",)),
        _thing("snowflake"),
        _thing("wave", "water-wave", fxemoji="wave"),
        _thing(
            "earth",
            "globe-showing-europe-africa",
            article="the",
            fxemoji="europeafricaglobe",
            also=("globe",),
        ),
        _thing("desert island"),
        _thing("rain cloud", "cloud-with-rain", fxemoji="raincloud"),
        _thing("tornado"),
    ),
    "toys and sports": (
        _thing("football", "soccer-ball", fxemoji="soccerball", also=("soccer ball",)),
        _thing("dice", "game-die", article="", fxemoji=None),
        _thing("trophy"),
        _thing("basketball", fxemoji=None),
        _thing("tennis racket", "tennis", twemoji=None, fxemoji=None),
        _thing("game controller", "video-game"),
        _thing("carousel horse", fxemoji=None),
        _thing("medal", "sports-medal"),
        _thing("bowling", article=""),
        _thing("boxing glove", fxemoji=None),
        _thing("dartboard", "direct-hit", fluent="bullseye"),
        _thing("american football"),
        _thing("ice skate", fxemoji=None),
        _thing("table tennis bat", "ping-pong", fxemoji=None),
        _thing("joystick", fxemoji=None),
        _thing("fishing rod", "fishing-pole", fxemoji="fishingpoleandfish"),
    ),
    "clothes": (
        _thing("dress"),
        _thing("hat", "womans-hat", fxemoji="womanshat"),
        _thing("shoe", "mans-shoe", fxemoji="mensshoe"),
        _thing("t-shirt", fxemoji="mansshirt"),
        _thing("crown"),
        _thing("glasses", article=""),
        _thing("boot", "womans-boot", fxemoji="boot"),
        _thing("jeans", article=""),
        _thing("handbag"),
        _thing("high heeled shoe", fxemoji="heels"),
        _thing("kimono"),
        _thing("top hat"),
        _thing("backpack", fxemoji="schoolsatchel"),
        _thing("ring"),
        _thing("bikini"),
        _thing("bow", "ribbon", fxemoji="bow"),
        _thing("graduation cap"),
        _thing("headphones", "headphone", article=""),
    ),
}


def _in_turn() -> tuple[Concept, ...]:
    """The concepts of all kinds, one of each kind in turn."""
    kinds = [[replace(concept, kind=kind) for concept in things] for kind, things in _KINDS.items()]
    return tuple(concept for turn in zip_longest(*kinds) for concept in turn if concept is not None)


KINDS: tuple[str, ...] = tuple(_KINDS)
WORLD_CONCEPTS: tuple[Concept, ...] = CONTROLS + _in_turn()
