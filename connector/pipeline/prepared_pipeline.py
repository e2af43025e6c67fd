"""The pipeline of an input that is prepared records: nothing is mapped, all of it is delivered."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from connector.connection.model import Connection
from connector.errors import DefinitionError
from connector.model import Chunk, Event, Rejection, Result, Unreadable, moved
from connector.pipeline.audiences import UsedAudience
from connector.pipeline.pipeline import Pipeline, template_problem
from connector.pipeline.preparation import Preparation
from connector.pipeline.prepared import PreparedError, PreparedRecords
from connector.templating.template import RenderError


class PreparedPipeline(Preparation):
    """Reads the records that the events of an input are."""

    #: They have the ids of their audiences.
    audiences: Sequence[UsedAudience] = ()

    def __init__(self, connection: Connection) -> None:
        """Compile a connection. Raise DefinitionError (D200) as `Pipeline` does."""
        super().__init__([], [], None, ())
        self.strict = connection.order == "strict"
        try:
            self._records = PreparedRecords(connection)
        except RenderError as error:
            raise DefinitionError([template_problem(error)]) from None

    def prepare(self, chunk: Chunk, now: float) -> Iterable[Result | None]:
        """Return the records, in order; a rejection for what is none. They wait from `now` on."""
        results: list[Result | None] = []
        for entry in chunk:
            results.append(self._result(entry, now))
        return results

    def _result(self, entry: Event | Unreadable, now: float) -> Result:
        if isinstance(entry, Unreadable):
            return Rejection("", entry.position, "unreadable", entry.reason)
        try:
            record = self._records.record_of(entry.data)
        except PreparedError as error:
            return Rejection("", entry.position, "unreadable", f"the record {error}")
        event_id = moved(record.event_id, entry.position)
        return record._replace(event_id=event_id, prepared_at=now)


AnyPipeline = Pipeline | PreparedPipeline
