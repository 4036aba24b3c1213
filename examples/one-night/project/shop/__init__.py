"""Small functions of a shop's back office: one module each, no dependencies."""
