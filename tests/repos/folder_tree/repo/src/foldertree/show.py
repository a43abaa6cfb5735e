"""Trees as text."""


def render(node, indent=0):
    lines = ["  " * indent + node.name + ("/" if node.is_folder else f" ({node.size})")]
    for child in sorted(node.children, key=lambda c: (not c.is_folder, c.name)):
        lines.extend(render(child, indent + 1))
    return lines
