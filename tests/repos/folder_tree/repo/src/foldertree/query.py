"""Questions about trees."""

from fnmatch import fnmatch


def total(node):
    """The size of a node with all that is in it."""
    return node.size + sum(total(c) for c in node.children)


def depth(node):
    """How many levels there are below a node."""
    return max((1 + depth(c) for c in node.children), default=0)


def find(node, pattern):
    """Files below a folder whose names match, folder by folder in order."""
    found = []
    for child in node.children:
        if child.is_folder:
            find(child, pattern)
        elif fnmatch(child.name, pattern):
            found.append(child)
    if not found:
        for child in node.children:
            found.extend(c for c in child.children if not c.is_folder and fnmatch(c.name, pattern))
    return found


def largest(node, count=3):
    """The largest files, by size and then name."""
    files = [n for n in walk(node) if not n.is_folder]
    return sorted(files, key=lambda n: (-n.size, n.name))[:count]


def walk(node):
    """The node and all below it, parents first."""
    yield node
    for child in node.children:
        yield from walk(child)
