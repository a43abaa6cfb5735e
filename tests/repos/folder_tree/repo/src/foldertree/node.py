"""Folders and files in memory."""

from dataclasses import dataclass, field


@dataclass
class Node:
    name: str
    size: int = 0
    children: list = field(default_factory=list)
    is_folder: bool = False

    def child(self, name):
        for node in self.children:
            if node.name == name:
                return node
        raise KeyError(name)


def leaf(name, size=0):
    return Node(name, size)


def folder(name, *children):
    return Node(name, 0, list(children), True)


def resolve(root, path):
    """The node at a path like `log/old`."""
    node = root
    for part in path.strip("/").split("/"):
        if part:
            node = node.child(part)
    return node
