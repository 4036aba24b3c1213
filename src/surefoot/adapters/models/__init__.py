"""Models behind `ports.Model`: offline ones that need no key, and those of providers."""
