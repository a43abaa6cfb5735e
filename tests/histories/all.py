"""All stories."""

from __future__ import annotations

from tests.histories.calendar_tools import CALENDAR
from tests.histories.containers import CONTAINERS
from tests.histories.numbers_and_config import FIGURES, LAYERED
from tests.histories.shop import SHOP
from tests.histories.story import Story
from tests.histories.words import WORDS

STORIES: tuple[Story, ...] = (SHOP, WORDS, CALENDAR, CONTAINERS, FIGURES, LAYERED)
