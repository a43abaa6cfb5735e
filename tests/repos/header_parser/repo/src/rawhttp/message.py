"""Requests as text."""

from dataclasses import dataclass

from rawhttp.errors import BadMessage
from rawhttp.headers import parse_headers


@dataclass(frozen=True)
class Request:
    method: str
    target: str
    headers: dict
    body: str


def parse_request(text):
    head, _, body = text.partition("\r\n\r\n")
    first, *lines = head.split("\r\n")
    words = first.split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/"):
        raise BadMessage(first)
    return Request(words[0].upper(), words[1], parse_headers(lines), body)
