// Follows the script of a client: calls `act` with the arguments in each line of standard input.
import { createInterface } from "node:readline";

for await (const line of createInterface({ input: process.stdin })) {
  let said;
  try {
    said = { returned: await act(...JSON.parse(line)) };
  } catch (error) {
    const name = error.name === "Error" ? error.constructor.name : error.name;
    said = { thrown: { name, message: error.message, members: membersOf(error) } };
  }
  console.log(JSON.stringify(said));
}
