"""Which files of which Debian packages the embedded base learns from."""

import re
from dataclasses import dataclass

MAPS = r"(_|-)(nm|norm|normal|bump|gloss|glow|glo|luma|sm|rm|gm|local|spec|height|mask|shirt|pants|reflect|blend)$"
"""File name endings of surface maps, which are not pictures."""


@dataclass(frozen=True)
class Source:
    """One group of files: where they lie, what they are, how often they are drawn."""

    package: str
    kind: str  # photo | painting | art | clipart | texture | sky
    include: str
    weight: float = 1.0  # sampling weight of one tile
    exclude: str = r"$^"
    subject: str = ""  # said in the caption after the file's own name
    named: bool = True  # whether file names say what is shown
    archive: str = ""  # a zip or Qt resource file inside the package
    most: int = 100_000

    def accepts(self, path: str) -> bool:
        """Tell whether ``path`` (inside the package or archive) belongs to this group."""
        stem = path.rsplit("/", 1)[-1].rsplit(".", 1)[0]
        return bool(
            re.search(self.include, path)
            and not re.search(self.exclude, path)
            and not re.search(MAPS, stem, re.IGNORECASE)
        )


PICTURE = r"\.(jpe?g|png|webp|tga)$"
RCC = r"usr/share/gcompris-qt/rcc/{}\.rcc$"

SOURCES = (
    # photographs
    Source("gcompris-qt-data", "photo", PICTURE, 4, archive=RCC.format("explore_monuments"),
           exclude=r"question|back|\.svg"),
    Source("gcompris-qt-data", "photo", PICTURE, 4, archive=RCC.format("explore_(farm|world)_animals"),
           exclude=r"question|back|\.svg"),
    Source("gcompris-qt-data", "photo", PICTURE, 4, archive=RCC.format("explore_world_music"), named=False,
           subject="music and dance"),
    Source("gcompris-qt-data", "photo", PICTURE, 4, archive=RCC.format("erase")),
    Source("gcompris-qt-data", "photo", PICTURE, 3, archive=RCC.format("lang"), exclude=r"resource/lang/[^w]"),
    Source("lomiri-wallpapers-16.04", "photo", r"backgrounds/.*\.jpg$", 2),
    Source("lomiri-wallpapers-20.04", "photo", r"backgrounds/.*\.jpg$", 2),
    Source("mate-backgrounds", "photo", r"mate/nature/", 2),
    Source("mate-backgrounds", "art", r"mate/(abstract|desktop)/", exclude=r"logo|MATE", subject="abstract waves"),
    Source("plasma-workspace-wallpapers", "photo", r"(Autumn|FallenLeaf|Path|summer_1am|EveningGlow|Grey|ColorfulCups|"
           r"OneStandsOut|ColdRipple|DarkestHour|IceCold|Kite|Canopee)/contents/images/\d", 2),
    Source("plasma-workspace-wallpapers", "art", r"contents/images(_dark)?/\d", 1,
           exclude=r"(Autumn|FallenLeaf|Path|summer_1am|EveningGlow|Grey|ColorfulCups|OneStandsOut|ColdRipple|"
           r"DarkestHour|IceCold|Kite|Canopee)/", subject="flat landscape"),
    Source("ukui-wallpapers", "photo", r"backgrounds/.*\.(jpg|png)$", 2, named=False, subject="landscape"),
    Source("gnome-backgrounds", "art", r"backgrounds/gnome/", 1, exclude=r"symbolic", subject="abstract shapes"),
    Source("sway-backgrounds", "art", r"backgrounds/.*\.png$", 0.5, exclude=r"(?i)logo", subject="abstract shapes"),
    Source("lxqt-themes", "photo", r"lxqt/wallpapers/.*\.(jpg|png)$", 1, exclude=r"(?i)logo|lxqt|simple|origami"),
    Source("endless-sky-data", "photo", r"images/land/.*\.jpg$", 3,
           exclude=r"land/(myrabella|bwerner|nasa|loc|dmottl|mfield|space|station)"),
    Source("endless-sky-data", "photo", r"images/land/(myrabella|bwerner|loc|dmottl|mfield).*\.jpg$", 3, named=False,
           subject="landscape"),
    Source("endless-sky-data", "sky", r"images/(land/(nasa|space|station)|ui/(galaxy|pleiades)).*\.jpg$", 1),
    Source("endless-sky-data", "art", r"images/scene/.*\.jpg$", 2, named=False, subject="science fiction scene"),
    Source("palapeli-data", "photo", r"collection/.*\.jpg$", 4),
    Source("palapeli-data", "texture", r"backgrounds/.*\.jpg$", 1, named=False, subject="wood"),
    Source("python3-sklearn", "photo", r"datasets/images/.*\.jpg$", 4),
    Source("scratch", "photo", r"Media/Backgrounds/(Nature|Outdoors|Indoors|Sports).*\.jpg$", 3),
    Source("stellarium-data", "photo", r"landscapes/.*\.(png|jpg)$", 1.5, named=False,
           exclude=r"(?i)fog|/(moon|mars|jupiter|saturn|neptune|sun|uranus)/", subject="landscape under the sky"),
    Source("stellarium-data", "sky", r"nebulae/default/.*\.png$", 0.5, named=False, subject="stars and a nebula",
           most=220),
    Source("stellarium-data", "painting", r"skycultures/greek_leidenAratea/[^/]*\.jpg$", 2, named=False,
           subject="an old manuscript miniature"),
    Source("tuxpaint-stamps-default", "clipart", r"stamps/.*\.png$", 1, exclude=r"_mirror|_flip|symbols/"),
    # paintings, drawings, game art
    Source("wesnoth-1.16-data", "painting", r"(portraits|transparent|story|maps|journey|background).*\.(png|jpg|webp)$",
           2, exclude=r"(?i)icons|terrain|cursor|halo|buttons|dialogs|misc/|attacks|hexes|units|footsteps"),
    Source("freeorion-data", "painting", r"art/(nebulae|fields|stars|species|building|hulls_design|splash)", 1,
           subject="science fiction"),
    Source("colobot-common-textures", "art", r"textures/.*\.png$", 1, exclude=r"(?i)interface/(button|mouse|text)",
           subject="planet surface"),
    Source("fillets-ng-data", "art", r"images/.*\.(png|jpg)$", 1, exclude=r"fish/|icon|menu", named=False,
           subject="cartoon underwater room", most=300),
    Source("hedgewars-data", "art", r"Themes/[^/]*/(Sky|horizont|LandTex|LandBackTex)[^/]*\.png$", 1, named=False,
           subject="cartoon landscape"),
    Source("widelands-data", "painting", r"images/(loadscreens|novalue|players)|loadscreens.*\.(png|jpg)$", 3,
           named=False, subject="medieval landscape"),
    Source("widelands-data", "texture", r"world/terrains/pics/.*\.png$", 0.5, most=200),
    Source("flare-game", "art", r"images/(parallax|menus/backgrounds|portraits)", 1, named=False,
           subject="dark fantasy scene"),
    Source("freecol", "painting", r"resources/images/.*\.jpg$", 1, named=False, subject="colonial history"),
    Source("torcs-data", "photo", r"background.*\.png$", 1, named=False, subject="panorama of hills and trees"),
    Source("extremetuxracer-data", "photo", r"(back|front|left|right|sky).*\.(png|jpg)$", 0.7, named=False,
           subject="snowy mountains under the sky"),
    Source("trigger-rally-data", "photo", r"textures/sky/.*\.(jpg|png)$", 1, subject="sky",
           archive=r"trigger-rally/data\.zip$"),
    Source("supertuxkart-data", "photo", r"(skybox|[Ss]ky|SKY).*\.(jpg|png)$", 0.7, named=False,
           subject="sky and horizon", most=120),
    # textures
    Source("supertuxkart-data", "texture", r"data/(tracks/[^/]*|textures)/[^/]*\.(jpg|png)$", 0.5, most=700,
           exclude=r"(?i)sky|font|gui|screen|logo|sign|flag|icon|minimap|editor|_alpha|particle|banner|colormask"),
    Source("mypaint-data-extras", "texture", r"backgrounds/.*\.png$", 0.5, subject="paper"),
    Source("krita-data", "texture", r"patterns/.*\.png$", 0.4),
    Source("nexuiz-textures", "texture", r"(evil|egypt|eX|trak).*\.(jpg|tga)$", 0.35, named=False,
           subject="stone and metal", archive=r"textures\.pk3$", most=350),
    Source("ufoai-textures", "texture", r"tex_(nature|ctp1|dirt|streets|buildings|material)/.*\.(jpg|png)$", 0.5,
           archive=r"0textures\.pk3$", most=500),
    Source("ufoai-textures", "painting", r"tex_pics/art.*\.jpg$", 2, archive=r"0textures\.pk3$", named=False,
           subject="a picture on a wall"),
    Source("openarena-081-textures", "texture", r"(gothic|base_wall|base_floor|acc_dm|liquids|skies).*\.jpg$", 0.35,
           archive=r"pak4-textures\.pk3$", most=200),
    # clip art
    Source("openclipart-png", "clipart",
           r"png/(animals|buildings|food|plants|people|transportation|recreation|geography/astronomy|household|"
           r"decorations|tools|clothing|music|special|education|electronics)/", 0.35, subject="{folder}",
           exclude=r"(?i)logo|sign|stick|smil|map|jigsaw|text|flag|roads|icon|arrow", most=1500),
)  # fmt: skip

PACKAGES = tuple(dict.fromkeys(source.package for source in SOURCES))
