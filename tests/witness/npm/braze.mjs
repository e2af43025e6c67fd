// Sends one body to /users/track by `braze-api`.
import { Braze } from "braze-api";

async function act(url, key, body, bulk) {
  return await new Braze(url, key).users.track(body, bulk);
}

const membersOf = (error) => ({ status: error.status });
