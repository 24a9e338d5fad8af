// What both Node clients share: one JSON object a line in, {"do": …, "comment": {…}}; one word a
// line out, what the library returned or that it threw.

import { createInterface } from "node:readline";

export async function answerLines(answer) {
    for await (const line of createInterface({ input: process.stdin })) {
        try {
            console.log(await answer(JSON.parse(line)));
        } catch (error) {
            console.log("raised");
            console.error(String(error));
        }
    }
}
