// Calls one method of Iterable's own client.
import { IterableClient } from "@iterable/api";

async function act(baseUrl, apiKey, method, options) {
  const client = new IterableClient({ baseUrl, apiKey });
  try {
    return await client[method](options);
  } finally {
    client.destroy();
  }
}

const membersOf = (error) => ({ status: error.statusCode, code: error.code });
