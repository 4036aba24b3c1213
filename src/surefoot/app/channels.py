"""The channels to people and programs: notifiers by name, and webhooks signed one by one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from surefoot.config import Settings
from surefoot.core.reach import Reach, reach_of
from surefoot.ports import Hooks, Notifier


def notifiers(
    settings: Settings, environ: Mapping[str, str], clock: Callable[[], datetime]
) -> Mapping[str, Notifier]:  # fmt: skip
    """The channels that are set up; one that is set up wrongly fails when it is used, and shows in the outbox."""
    given, channels = settings.notify, dict[str, Notifier]()
    if given.terminal:
        from surefoot.adapters.notify.terminal import Terminal

        channels["terminal"] = Terminal()
    if given.email_command:
        from surefoot.adapters.notify.email_command import EmailCommand

        channels["email_command"] = EmailCommand(given.email_command, environ=environ)
    if given.webhook_url:
        from surefoot.adapters.notify.webhook import Webhook

        channels["webhook"] = Webhook(
            given.webhook_url, environ.get(given.webhook_secret_env, ""), clock=clock, reach=_reach(settings)
        )
    return channels


def hooks(settings: Settings, environ: Mapping[str, str], clock: Callable[[], datetime]) -> Hooks:
    """Give what makes a notifier for an address that somebody named."""
    from surefoot.adapters.notify.hooks import SignedHooks

    secret = environ.get(settings.notify.webhook_secret_env, "")
    return SignedHooks(secret, clock=clock, reach=_reach(settings))


def _reach(settings: Settings) -> Reach:
    return reach_of(settings.notify.allow_private_hosts, setting="[notify] allow_private_hosts")
