"""Prices: what tokens cost, known before a call or not known at all.

In this order: the prices set for the endpoint; nothing for a server on this machine; the public list (genai-prices,
shipped with the package and read offline) by the endpoint's address *and* the model's name. A name alone prices
nothing, since the same model costs differently elsewhere, and a local server may be called like a paid one. What
none of the three knows is unknown, never zero.
"""

from __future__ import annotations

from collections.abc import Iterable

from surefoot.adapters.models.endpoint import Endpoint
from surefoot.core.errors import Invalid
from surefoot.core.proposal import Cost

# What a chat template adds around a request and around each message of it, generously.
_REQUEST_TOKENS = 64
_MESSAGE_TOKENS = 16


def most_tokens(texts: Iterable[str]) -> int:
    """Give a bound on the tokens of a prompt that no tokenizer in use exceeds: its UTF-8 bytes, and the template's.

    A token covers at least one byte. English text has four times fewer tokens, but random letters, digits and
    rare scripts come close, and a reservation that is too small is a budget that is exceeded.
    """
    return _REQUEST_TOKENS + sum(_MESSAGE_TOKENS + len(text.encode("utf-8", "surrogatepass")) for text in texts)


def is_priced(endpoint: Endpoint) -> bool:
    """Say whether the price of the endpoint's model is known."""
    return _usd(endpoint, 1, 1) is not None


def cost_of(endpoint: Endpoint, tokens_in: int, tokens_out: int) -> Cost:
    """Give what one call with so many prompt and completion tokens costs at list price; Invalid if unknown."""
    usd = _usd(endpoint, tokens_in, tokens_out)
    if usd is None:
        raise Invalid(
            f"the price of model {endpoint.model!r} at {endpoint.host} is unknown, so no budget could hold",
            hint=f"set price_in and price_out for it under [models.{_table(endpoint)}] in surefoot.toml, "
            "or both to 0 if it is free",
        )
    return Cost(calls=1, tokens=tokens_in + tokens_out, usd=usd)


def _table(endpoint: Endpoint) -> str:
    return "NAME" if ":" in endpoint.name else endpoint.name


def _usd(endpoint: Endpoint, tokens_in: int, tokens_out: int) -> float | None:
    own_in, own_out = endpoint.price_in_usd_per_mtok, endpoint.price_out_usd_per_mtok
    if own_in is not None and own_out is not None:
        return (tokens_in * own_in + tokens_out * own_out) / 1e6
    if endpoint.loopback:
        return 0.0
    return _listed_usd(endpoint, tokens_in, tokens_out)


def _listed_usd(endpoint: Endpoint, tokens_in: int, tokens_out: int) -> float | None:
    from genai_prices import Usage, calc_price  # a megabyte of tables, needed by paid models only

    try:
        found = calc_price(
            Usage(input_tokens=tokens_in, output_tokens=tokens_out), endpoint.model, provider_api_url=endpoint.base_url
        )
    except LookupError:
        return None
    # The list also holds models that are priced by the second or the image: without token prices they come out free.
    listed = vars(found.model_price)
    if listed.get("input_mtok") is None or listed.get("output_mtok") is None:
        return None
    return float(found.total_price)
