"""Result lists for the search page."""

from paging import bounds, clamp_size, page_count, window


class Results:
    """All hits of a query, one page at a time."""

    def __init__(self, hits, size=None):
        self.hits = list(hits)
        self.size = clamp_size(size)

    def __len__(self):
        return len(self.hits)

    @property
    def pages(self):
        return page_count(len(self.hits), self.size)

    def page(self, number):
        start, end = bounds(number, len(self.hits), self.size)
        return self.hits[start:end]

    def links(self, number):
        return window(number, self.pages)

    def summary(self, number):
        start, end = bounds(number, len(self.hits), self.size)
        if start == end:
            return "no results"
        return f"{start + 1}-{end} of {len(self.hits)}"
