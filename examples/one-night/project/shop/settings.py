"""Settings as `name = value` lines."""


def read(text: str) -> dict[str, str]:
    """Read settings; empty lines and lines that begin with # are left out."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        if line.strip() and not line.lstrip().startswith("#"):
            name, value = line.split("=")[:2]
            found[name.strip()] = value.strip()
    return found
