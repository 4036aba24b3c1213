import pytest
from hypothesis import given
from hypothesis import strategies as st

from surefoot.adapters.models.endpoint import Endpoint
from surefoot.adapters.models.prices import cost_of, is_priced, most_tokens
from surefoot.core.errors import Invalid
from surefoot.core.proposal import Cost


def endpoint(model: str, base_url: str, price_in: float | None = None, price_out: float | None = None) -> Endpoint:
    return Endpoint(
        name="mine", model=model, base_url=base_url, price_in_usd_per_mtok=price_in, price_out_usd_per_mtok=price_out
    )


OPENAI = "https://api.openai.com/v1"
LOOPBACKS = ["http://127.0.0.1:8000/v1", "http://localhost:11434/v1", "http://[::1]:1234/v1", "http://127.9.9.9/v1"]


def test_a_listed_model_costs_what_the_list_says() -> None:
    assert cost_of(endpoint("gpt-4o-mini", OPENAI), 1_000_000, 0).usd == pytest.approx(0.15)
    assert cost_of(endpoint("gpt-4o-mini", OPENAI), 0, 1_000_000).usd == pytest.approx(0.60)
    small = cost_of(endpoint("gpt-4o-mini", OPENAI), 100, 20)
    assert (small.calls, small.tokens, small.usd) == (1, 120, pytest.approx(2.7e-5))


def test_configured_prices_beat_the_list_and_the_free_loopback() -> None:
    for base_url in (OPENAI, LOOPBACKS[0]):
        assert cost_of(endpoint("gpt-4o-mini", base_url, 2.0, 8.0), 500_000, 250_000).usd == pytest.approx(3.0)
    assert cost_of(endpoint("gpt-4o-mini", OPENAI, 0.0, 0.0), 500_000, 250_000).usd == 0


@pytest.mark.parametrize("base_url", LOOPBACKS)
def test_a_server_on_this_machine_is_free_even_if_its_model_is_called_like_a_paid_one(base_url: str) -> None:
    assert cost_of(endpoint("gpt-4o", base_url), 1000, 1000) == Cost(calls=1, tokens=2000, usd=0.0)


@pytest.mark.parametrize(
    ("model", "base_url"),
    [
        ("no-such-model", OPENAI),
        ("gpt-4o", "https://gateway.example/v1"),  # the name is known, what it costs there is not
        ("gpt-4o", "http://127.0.0.1.example/v1"),  # no loopback
        ("gpt-4o", "http://10.0.0.7:8000/v1"),
        ("whisper-1", OPENAI),  # listed, but not by the token
    ],
)
def test_an_unknown_price_is_refused_and_never_taken_for_zero(model: str, base_url: str) -> None:
    unknown = endpoint(model, base_url)
    assert not is_priced(unknown)
    with pytest.raises(Invalid) as refusal:
        cost_of(unknown, 1, 1)
    assert f"the price of model {model!r}" in refusal.value.message
    assert "price_in and price_out" in refusal.value.hint
    assert "[models.mine]" in refusal.value.hint
    assert is_priced(endpoint(model, base_url, 0.0, 0.0))


@given(st.lists(st.text()))
def test_a_prompt_is_never_reserved_at_less_than_a_token_a_byte(texts: list[str]) -> None:
    assert most_tokens(texts) >= sum(len(text.encode("utf-8", "surrogatepass")) for text in texts) + len(texts)


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 10**6))
def test_more_tokens_never_cost_less(a: int, b: int, more_in: int, more_out: int) -> None:
    for model, base_url in [("gpt-4o", OPENAI), ("gemini-2.5-pro", "https://generativelanguage.googleapis.com/v1beta")]:
        less = cost_of(endpoint(model, base_url), a, b)
        more = cost_of(endpoint(model, base_url), a + more_in, b + more_out)
        assert more.usd >= less.usd - 1e-12
        assert more.tokens >= less.tokens
