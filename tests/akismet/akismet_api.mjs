// npm's `akismet-api` against a running replyguard. It has settings for the host and the protocol.

import dns from "node:dns";
import { createRequire } from "node:module";
import { answerLines } from "./lines.mjs";

const { AkismetClient } = createRequire(process.env.NODE_TOOLS)("akismet-api");
const base = new URL(process.env.REPLYGUARD_URL);

// The library calls KEY.HOST, so HOST needs a wildcard record in the DNS. This stands for it.
const zone = "replyguard.test";
const { lookup } = dns;
dns.lookup = (name, ...rest) =>
    lookup(name === zone || name.endsWith(`.${zone}`) ? base.hostname : name, ...rest);

const client = new AkismetClient({
    key: process.env.AKISMET_KEY,
    blog: "https://blog.example.org",
    protocol: "http",
    host: `${zone}:${base.port}`,
});

await answerLines(async (line) => {
    switch (line.do) {
        case "verify":
            return (await client.verifyKey()) ? "valid" : "invalid";
        case "check":
            return (await client.checkSpam(line.comment)) ? "spam" : "ham";
        case "submit-spam":
            return thanked(await client.submitSpam(line.comment));
        default:
            return thanked(await client.submitHam(line.comment));
    }
});

function thanked(response) {
    return response.text === "Thanks for making the web a better place." ? "thanked" : "refused";
}
