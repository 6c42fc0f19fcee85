"""Which photographs make the bank, where they lie in Debian's packages, and what of them is cut out."""

from dataclasses import dataclass

GCOMPRIS, LOMIRI, PALAPELI, SKY = "gcompris-qt-data", "lomiri-wallpapers-16.04", "palapeli-data", "endless-sky-data"
COMMONS = "Wikimedia Commons, "
UNSPLASH = "unsplash.com, before its own licence"
FREE, CC0, BY, BY2 = "public domain", "CC0-1.0", "CC-BY-4.0", "CC-BY-2.0"


@dataclass(frozen=True)
class Photo:
    """One picture of the bank: a box of a file in a package, and whose it is."""

    name: str
    package: str
    path: str  # the end of the file's path in the package or in its Qt resource file
    box: tuple[int, int, int, int]  # left, top, right, bottom in pixels of the file
    author: str
    licence: str
    source: str

    @property
    def archive(self) -> str:
        """The Qt resource file, as a pattern, that holds the file; empty for a plain file."""
        return rf"rcc/{self.path.split('/')[0]}\.rcc$" if self.package == GCOMPRIS else ""


PHOTOS = (
    # people
    Photo("musicians", GCOMPRIS, "explore_world_music/resource/music/mexico.webp", (204, 12, 1024, 668),
          "Elidealista", CC0, COMMONS + "Wikipedia_10_Guadalajara_-_Mariachi.jpg"),
    Photo("stage", GCOMPRIS, "explore_world_music/resource/music/italy.webp", (235, 160, 875, 672),
          "SoriamuséuM", CC0, COMMONS + "Ópera_cásina.jpg"),
    Photo("festival-night", GCOMPRIS, "explore_world_music/resource/music/japan.webp", (170, 0, 1024, 683),
          "takami torao", FREE, COMMONS + "Agidaiko03.jpg"),
    Photo("didgeridoo", GCOMPRIS, "explore_world_music/resource/music/australia.webp", (0, 40, 683, 894),
          "Steve Evans", BY2, COMMONS + "Australia_Aboriginal_Culture_009.jpg"),
    Photo("orchestra", GCOMPRIS, "explore_world_music/resource/music/orchestra.webp", (129, 0, 895, 613),
          "ABC Informática", FREE, COMMONS + "Orchestra_of_the_18th_Century.jpg"),
    # animals
    Photo("kingfisher", GCOMPRIS, "erase/resource/kingfisher.webp", (400, 0, 1750, 1080),
          "Frank-2.0", CC0, COMMONS + "Eisvogel_kingfisher.jpg"),
    Photo("red-panda", GCOMPRIS, "erase/resource/red_panda.webp", (440, 0, 1790, 1080),
          "Mathias Appel", CC0, COMMONS + "Red_Panda_(30324056733).jpg"),
    Photo("crab", GCOMPRIS, "erase/resource/crab.webp", (490, 0, 1840, 1080),
          "Nosferattus", CC0, COMMONS + "Sally_Lightfoot_Crab_2019.jpg"),
    Photo("lemurs", GCOMPRIS, "explore_world_animals/resource/animals/lemur.webp", (120, 0, 974, 683),
          "Mathias Appel", CC0, COMMONS + "Lemur_(37122852696).jpg"),
    Photo("hedgehog", GCOMPRIS, "explore_world_animals/resource/animals/hedgehog.webp", (60, 0, 974, 731),
          "George Chernilevsky", FREE, COMMONS + "Erinaceus_roumanicus_2020_G2.jpg"),
    Photo("moose", GCOMPRIS, "explore_world_animals/resource/animals/moose.webp", (130, 0, 984, 683),
          "Ryan Hagerty", FREE, COMMONS + "Male_Moose.jpg"),
    Photo("polar-bear", GCOMPRIS, "explore_world_animals/resource/animals/polar_bear.webp", (32, 0, 992, 768),
          "anonymous", FREE, COMMONS + "Churchill_Wildlife_Management_Area_polar_bear30.JPG"),
    Photo("hens", GCOMPRIS, "explore_farm_animals/resource/animals/chicken.webp", (60, 0, 914, 683),
          "Tranquilles", FREE, COMMONS + "Chickens_at_Tranquilles_B&B.JPG"),
    # flowers, food, objects, a room
    Photo("bee", PALAPELI, "collection/european-honey-bee.jpg", (10, 0, 1610, 1280),
          "John Severns", FREE, COMMONS + "European_honey_bee_extracts_nectar.jpg"),
    Photo("dandelions", LOMIRI, "backgrounds/seeding_by_Clements_Engelhardt.jpg", (300, 0, 4035, 2988),
          "Clemens Engelhardt", CC0, "the photographer"),
    Photo("citrus", PALAPELI, "collection/citrus-fruits.jpg", (100, 0, 1212, 890),
          "US Department of Agriculture", FREE, COMMONS + "Citrus_fruits.jpg"),
    Photo("fig", LOMIRI, "backgrounds/Picture_0B_by_freespace.jpg", (300, 0, 2475, 1740),
          'Trevor "Freespace"', BY, "the photographer"),
    Photo("drums", GCOMPRIS, "explore_world_music/resource/music/africa.webp", (110, 0, 914, 643),
          "Kenneth Ritchards", FREE, COMMONS + "Bata_drums.jpg"),
    Photo("room", LOMIRI, "backgrounds/Wine_by_Jakkub_Mede.jpg", (0, 600, 2560, 3800),
          "Jakub Mede", BY, "the photographer"),
    # buildings
    Photo("chenonceau", GCOMPRIS, "explore_monuments/resource/france/chateaudeChenonceau.webp", (64, 0, 1024, 768),
          "Alf van Beem", FREE, COMMONS + "Château_de_Chenonceau_photo_1.JPG"),
    Photo("konark", GCOMPRIS, "explore_monuments/resource/india/konarkSunTemple.webp", (32, 0, 992, 768),
          "Tetraktys", FREE, COMMONS + "Konark_Sun_Temple_Front_view.jpg"),
    Photo("brandenburg-gate", GCOMPRIS, "explore_monuments/resource/germany/brandenburgGate.webp", (32, 0, 992, 768),
          "Evans1551", FREE, COMMONS + "Brandenburg_Gate_(summer_2005).JPG"),
    Photo("petra", GCOMPRIS, "explore_monuments/resource/wonders/petra.webp", (40, 0, 940, 720),
          "Berthold Werner", FREE, COMMONS + "Petra_Jordan_BW_36.JPG"),
    Photo("bridge-night", PALAPELI, "collection/cincinnati-bridge.jpg", (55, 0, 1246, 953),
          "Derek Jensen", FREE, COMMONS + "Cincinnati-roebling-suspension-bridge.jpg"),
    Photo("city", SKY, "images/land/city11.jpg", (200, 0, 650, 360), "various", FREE, UNSPLASH),
    # land, water, sky
    Photo("canyon", GCOMPRIS, "explore_monuments/resource/usa/canyondeChelly.webp", (60, 0, 925, 692),
          "Nikater", FREE, COMMONS + "Canyon_de_chelly09.jpg"),
    Photo("great-wall", GCOMPRIS, "explore_monuments/resource/wonders/greatWallofChina.webp", (50, 0, 1007, 766),
          "Nicolas Perrault III", CC0, COMMONS + "Great_Wall_of_China_July_2006.JPG"),
    Photo("stream", LOMIRI, "backgrounds/life_by_Aitzol_Berasategi.jpg", (300, 0, 2870, 2056),
          "Aitzol Berasategi", BY, "the photographer"),
    Photo("cypresses", SKY, "images/land/fields5.jpg", (150, 0, 600, 360), "various", FREE, UNSPLASH),
    Photo("sea", SKY, "images/land/beach2.jpg", (150, 0, 600, 360), "various", FREE, UNSPLASH),
    Photo("snow-mountains", SKY, "images/land/snow1.jpg", (0, 0, 450, 360), "various", FREE, UNSPLASH),
    Photo("sunset-peak", SKY, "images/land/sky8.jpg", (40, 0, 490, 360), "various", FREE, UNSPLASH),
)  # fmt: skip
