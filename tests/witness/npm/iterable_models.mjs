// Parses a body by a schema of Iterable's own client.
import * as iterable from "@iterable/api";

const act = (schema, body) => iterable[schema].parse(body);

const membersOf = () => ({});
