"""Keys of requests, long work, and subscriptions, each row whole beside what it is searched by."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime

import sqlalchemy as sa

from surefoot.adapters.store.api_tables import jobs, request_keys, subscriptions
from surefoot.adapters.store.codec import dump, load
from surefoot.adapters.store.rows import page, put, swap
from surefoot.core.errors import NotFound
from surefoot.core.job import OPEN, Job
from surefoot.core.request_key import RequestKey
from surefoot.core.subscription import Subscription


class SqlRequestKeys:
    """Keys by caller and key."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def get(self, who: str, key: str) -> RequestKey | None:
        """Give a key, if it is known."""
        table = request_keys.c
        found = self._connection.scalar(sa.select(table.document).where(table.who == who, table.key == key))
        return None if found is None else load(RequestKey, found)

    def put(self, one: RequestKey) -> None:
        """Write a key over an older one."""
        put(self._connection, request_keys, {"who": one.who, "key": one.key, "at": one.at, "document": dump(one)})

    def drop(self, who: str, key: str) -> None:
        """Forget a key."""
        table = request_keys
        self._connection.execute(sa.delete(table).where(table.c.who == who, table.c.key == key))

    def forget(self, before: datetime) -> None:
        """Delete keys that are older."""
        self._connection.execute(sa.delete(request_keys).where(request_keys.c.at < before))

    def blank(self) -> None:
        """Keep no answer any more, only that there was one."""
        table = request_keys.c
        query = sa.select(table.document).where(table.document["state"].as_string() == "done")
        for row in self._connection.execute(query).all():
            known = load(RequestKey, row.document)
            self.put(replace(known, secret=True, headers={}, body=""))


class SqlJobs:
    """Long work by id."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def add(self, job: Job) -> None:
        """Store a new job."""
        self._connection.execute(sa.insert(jobs).values(**_job(job)))

    def get(self, job_id: str) -> Job:
        """Give a job."""
        found = self._connection.scalar(sa.select(jobs.c.document).where(jobs.c.id == job_id))
        if found is None:
            raise NotFound(f"there is no job {job_id!r}", hint="GET /api/v1/jobs lists them; surefoot jobs too")
        return load(Job, found)

    def all(self, *, limit: int, agents: Collection[str], after: str = "", kind: str = "") -> list[Job]:
        """Give jobs, newest first, from the one after the job `after` on; of all agents if none is named."""
        table = jobs.c
        where = [table.document["agent"].as_string().in_(agents)] if agents else []
        where += [table.document["kind"].as_string() == kind] if kind else []
        found = page(self._connection, table.document, where, by=(table.at, table.id), limit=limit, newest=True,
                     after=table.id == after if after else None)  # fmt: skip
        return [load(Job, one) for one in found]

    def unfinished(self) -> list[Job]:
        """Give the jobs that have not ended."""
        query = sa.select(jobs.c.document).where(jobs.c.state.in_(sorted(OPEN)))
        return [load(Job, row.document) for row in self._connection.execute(query)]

    def swap(self, job: Job) -> Job:
        """Write a job over the revision it was read at."""
        after = replace(job, revision=job.revision + 1)
        swap(self._connection, jobs, f"job {job.id}", jobs.c.id == job.id, job.revision, _job(after))
        return after


class SqlSubscriptions:
    """Subscriptions by id."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def add(self, one: Subscription) -> None:
        """Store a new subscription."""
        self._connection.execute(sa.insert(subscriptions).values(**_subscription(one)))

    def get(self, subscription_id: str) -> Subscription:
        """Give a subscription."""
        query = sa.select(subscriptions.c.document).where(subscriptions.c.id == subscription_id)
        found = self._connection.scalar(query)
        if found is None:
            raise NotFound(f"there is no webhook {subscription_id!r}", hint="surefoot webhooks lists them")
        return load(Subscription, found)

    def all(self) -> list[Subscription]:
        """Give all of them, oldest first."""
        query = sa.select(subscriptions.c.document).order_by(subscriptions.c.id)
        return [load(Subscription, row.document) for row in self._connection.execute(query)]

    def swap(self, one: Subscription) -> Subscription:
        """Write a subscription over the revision it was read at."""
        after, table = replace(one, revision=one.revision + 1), subscriptions
        swap(self._connection, table, f"webhook {one.id}", table.c.id == one.id, one.revision, _subscription(after))
        return after

    def drop(self, subscription_id: str) -> None:
        """Delete a subscription."""
        self._connection.execute(sa.delete(subscriptions).where(subscriptions.c.id == subscription_id))


def _job(job: Job) -> dict[str, object]:
    return {"id": job.id, "state": job.state, "at": job.at, "revision": job.revision, "document": dump(job)}


def _subscription(one: Subscription) -> dict[str, object]:
    return {"id": one.id, "revision": one.revision, "document": dump(one)}
