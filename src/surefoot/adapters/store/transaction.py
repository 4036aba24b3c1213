"""All nouns of the store on one open connection."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from surefoot.adapters.store.agents import SqlAgents, SqlVersions
from surefoot.adapters.store.approvals import SqlApprovals
from surefoot.adapters.store.audit import SqlAudit, SqlMarks
from surefoot.adapters.store.banked import SqlBanked
from surefoot.adapters.store.beats import SqlBeats
from surefoot.adapters.store.cases import SqlCases, SqlScores
from surefoot.adapters.store.deleting import SqlDeleting
from surefoot.adapters.store.erasing import SqlErasing
from surefoot.adapters.store.evals import SqlEvals
from surefoot.adapters.store.executions import SqlExecutions
from surefoot.adapters.store.executors import SqlExecutors
from surefoot.adapters.store.exporting import SqlExporting
from surefoot.adapters.store.finding import SqlFinding
from surefoot.adapters.store.incidents import SqlIncidents, SqlSwitches
from surefoot.adapters.store.ledgers import SqlLedgers
from surefoot.adapters.store.levers import SqlDrafts, SqlLessons, SqlLevers, SqlLooks, SqlProposals
from surefoot.adapters.store.memories import SqlMemories
from surefoot.adapters.store.notices import SqlNonces, SqlNotices
from surefoot.adapters.store.pairs import SqlPairs
from surefoot.adapters.store.pauses import SqlPauses
from surefoot.adapters.store.processes import SqlBuilds, SqlProcesses
from surefoot.adapters.store.requests import SqlJobs, SqlRequestKeys, SqlSubscriptions
from surefoot.adapters.store.rollouts import SqlRollouts
from surefoot.adapters.store.spans import SqlSpans
from surefoot.adapters.store.tokens import SqlTokens
from surefoot.adapters.store.traces import SqlOutcomes, SqlTraces
from surefoot.adapters.store.undertakings import SqlUndertakings
from surefoot.adapters.store.visits import SqlVisits
from surefoot.adapters.store.vitals import SqlVitals


@dataclass(frozen=True, slots=True)
class SqlTx:
    """One transaction; implements `ports.Tx`."""

    connection: sa.Connection

    @property
    def agents(self) -> SqlAgents:
        return SqlAgents(self.connection)

    @property
    def versions(self) -> SqlVersions:
        return SqlVersions(self.connection)

    @property
    def traces(self) -> SqlTraces:
        return SqlTraces(self.connection)

    @property
    def deleting(self) -> SqlDeleting:
        return SqlDeleting(self.connection)

    @property
    def erasing(self) -> SqlErasing:
        return SqlErasing(self.connection)

    @property
    def exporting(self) -> SqlExporting:
        return SqlExporting(self.connection)

    @property
    def finding(self) -> SqlFinding:
        return SqlFinding(self.connection)

    @property
    def outcomes(self) -> SqlOutcomes:
        return SqlOutcomes(self.connection)

    @property
    def spans(self) -> SqlSpans:
        return SqlSpans(self.connection)

    @property
    def cases(self) -> SqlCases:
        return SqlCases(self.connection)

    @property
    def levers(self) -> SqlLevers:
        return SqlLevers(self.connection)

    @property
    def proposals(self) -> SqlProposals:
        return SqlProposals(self.connection)

    @property
    def scores(self) -> SqlScores:
        return SqlScores(self.connection)

    @property
    def drafts(self) -> SqlDrafts:
        return SqlDrafts(self.connection)

    @property
    def looks(self) -> SqlLooks:
        return SqlLooks(self.connection)

    @property
    def rollouts(self) -> SqlRollouts:
        return SqlRollouts(self.connection)

    @property
    def approvals(self) -> SqlApprovals:
        return SqlApprovals(self.connection)

    @property
    def lessons(self) -> SqlLessons:
        return SqlLessons(self.connection)

    @property
    def ledgers(self) -> SqlLedgers:
        return SqlLedgers(self.connection)

    @property
    def audit(self) -> SqlAudit:
        return SqlAudit(self.connection)

    @property
    def marks(self) -> SqlMarks:
        return SqlMarks(self.connection)

    @property
    def executors(self) -> SqlExecutors:
        return SqlExecutors(self.connection)

    @property
    def pairs(self) -> SqlPairs:
        return SqlPairs(self.connection)

    @property
    def banked(self) -> SqlBanked:
        return SqlBanked(self.connection)

    @property
    def incidents(self) -> SqlIncidents:
        return SqlIncidents(self.connection)

    @property
    def notices(self) -> SqlNotices:
        return SqlNotices(self.connection)

    @property
    def nonces(self) -> SqlNonces:
        return SqlNonces(self.connection)

    @property
    def switches(self) -> SqlSwitches:
        return SqlSwitches(self.connection)

    @property
    def evals(self) -> SqlEvals:
        return SqlEvals(self.connection)

    @property
    def memories(self) -> SqlMemories:
        return SqlMemories(self.connection)

    @property
    def request_keys(self) -> SqlRequestKeys:
        return SqlRequestKeys(self.connection)

    @property
    def jobs(self) -> SqlJobs:
        return SqlJobs(self.connection)

    @property
    def subscriptions(self) -> SqlSubscriptions:
        return SqlSubscriptions(self.connection)

    @property
    def visits(self) -> SqlVisits:
        return SqlVisits(self.connection)

    @property
    def beats(self) -> SqlBeats:
        return SqlBeats(self.connection)

    @property
    def undertakings(self) -> SqlUndertakings:
        return SqlUndertakings(self.connection)

    @property
    def builds(self) -> SqlBuilds:
        return SqlBuilds(self.connection)

    @property
    def processes(self) -> SqlProcesses:
        return SqlProcesses(self.connection)

    @property
    def executions(self) -> SqlExecutions:
        return SqlExecutions(self.connection)

    @property
    def tokens(self) -> SqlTokens:
        return SqlTokens(self.connection)

    @property
    def vitals(self) -> SqlVitals:
        return SqlVitals(self.connection)

    @property
    def pauses(self) -> SqlPauses:
        return SqlPauses(self.connection)
