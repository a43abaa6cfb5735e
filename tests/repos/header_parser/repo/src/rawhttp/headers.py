"""Header lines."""

from rawhttp.errors import BadHeader


def parse_line(line):
    """Name in lower case and value of one header line."""
    parts = line.split(":")
    if len(parts) < 2 or not parts[0] or parts[0] != parts[0].strip():
        raise BadHeader(line)
    return parts[0].lower(), parts[1].strip()


def parse_headers(lines):
    """All headers; a header given twice is joined by a comma."""
    headers = {}
    for line in lines:
        name, value = parse_line(line)
        if name in headers:
            headers[name] += ", " + value
        else:
            headers[name] = value
    return headers


def content_type(headers):
    """Media type and its parameters."""
    value = headers.get("content-type", "")
    kind, *rest = [part.strip() for part in value.split(";")]
    parameters = {}
    for part in rest:
        key, _, text = part.partition("=")
        parameters[key.lower()] = text.strip('"')
    return kind.lower(), parameters
