"""The shipped support tickets, and the mediocre prompt that the demo starts from."""

from __future__ import annotations

from importlib.resources import files

from surefoot.rehearsal.rows import Row, parse_rows

TASK = "You sort the support tickets of Brightwell, who make connected home devices. Decide what the customer wants."
# Mediocre on purpose: a hurried colleague's one line per label, with none of the words that customers use.
DESCRIPTIONS = {
    "account": "sign-in, password and profile",
    "billing": "charges, invoices and payment methods",
    "complaint": "unhappy with our service or staff",
    "delivery": "where a parcel is and when it arrives",
    "product": "questions before buying, such as size or material",
    "refund": "getting money back",
    "returns": "sending something back or exchanging it",
    "subscription": "the refill plan: start, pause, skip, cancel",
    "technical": "app, wifi, pairing and firmware trouble",
    "warranty": "broken or defective device, repair, spare part",
}


def shipped_tickets() -> list[Row]:
    """Give all shipped tickets."""
    source = files("surefoot.tickets").joinpath("tickets.jsonl")
    with source.open(encoding="utf-8") as lines:
        return parse_rows(lines, "tickets.jsonl")
