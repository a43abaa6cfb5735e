"""What a server says about the models that it serves: their names and windows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import httpx

from agent.model import Record

_LISTING_S = 15.0
_WINDOWS = ("max_model_len", "max_context_length", "context_length", "context_window")


class ServedModel(Record):
    """One entry of a server's list of models."""

    names: tuple[str, ...]
    """Its id, and other names that the server knows it by."""
    window: int | None = None
    """Tokens; None where the server does not say."""
    server: str = ""
    """What the server calls itself."""


def served_models(listing: object) -> tuple[ServedModel, ...]:
    """The models in the answer to `GET /v1/models`; what is no entry is left out.

    SGLang and vLLM give the window as `max_model_len`, llama.cpp as `meta.n_ctx`, LM Studio as
    `max_context_length`, others as `context_length`.
    """
    entries = listing.get("data") if isinstance(listing, Mapping) else None
    found = []
    for entry in entries if isinstance(entries, list) else ():
        if not isinstance(entry, Mapping) or not isinstance(entry.get("id"), str):
            continue
        meta, aliases = entry.get("meta"), entry.get("aliases")
        own = meta if isinstance(meta, Mapping) else {}
        windows = [entry.get(name) for name in _WINDOWS]
        others = [a for a in aliases if isinstance(a, str)] if isinstance(aliases, list) else []
        found.append(
            ServedModel(
                names=tuple(dict.fromkeys((entry["id"], *others))),
                window=next((n for n in (own.get("n_ctx"), *windows) if type(n) is int), None),
                server=str(entry.get("owned_by") or ""),
            )
        )
    return tuple(found)


async def list_models(
    client: httpx.AsyncClient, url: str, headers: Mapping[str, str] | None = None
) -> tuple[ServedModel, ...]:
    """The models of the server at an address that ends in the API's version; none on a fault."""
    # llama.cpp closes a connection that was used before without a word: the next one is new.
    for _ in range(2):
        try:
            answer = await client.get(f"{url}/models", headers=headers, timeout=_LISTING_S)
            return served_models(answer.json())
        except httpx.RemoteProtocolError:
            continue
        except (httpx.HTTPError, ValueError, RecursionError):
            break
    return ()


def chosen_model(served: Sequence[ServedModel], name: str) -> ServedModel | None:
    """The model that answers to a name: a server with one model gives it for any."""
    named = [card for card in served if name in card.names]
    if named:
        return named[0]
    return served[0] if len(served) == 1 else None
