"""Plans for the build farm."""

from build.graph import Graph


def parse(text):
    """A graph from lines of `target: need need`."""
    graph = Graph()
    for line in text.splitlines():
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        name, _, needs = line.partition(":")
        graph.add(name.strip(), needs.split())
    return graph


def stale(graph, name, times):
    """Targets of `name` that are older than something they need, or were never built."""
    result = []
    for target in graph.order(name):
        own = times.get(target)
        newest = max((times.get(n, 0) for n in graph.needs(target)), default=0)
        if own is None or own < newest or any(n in result for n in graph.needs(target)):
            result.append(target)
    return result
