"""Headlines, slugs and teasers."""

from headlines.slug import slugify
from headlines.teaser import teaser, truncate

__all__ = ["slugify", "teaser", "truncate"]
