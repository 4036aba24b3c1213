"""Channels to people: a signed webhook, a command that sends e-mail, and the terminal. Each implements `Notifier`."""
