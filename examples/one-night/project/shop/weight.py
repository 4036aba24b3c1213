"""Weights as people read them."""


def shown(grams: int) -> str:
    """Give grams below a kilogram as `850 g`, and everything from a kilogram on as `1.5 kg`."""
    if grams > 1000:
        return f"{grams / 1000:.1f} kg"
    return f"{grams} g"
