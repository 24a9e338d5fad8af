// npm's `@cedx/akismet` against a running replyguard. It has a setting for the base address.

import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import { answerLines } from "./lines.mjs";

const path = createRequire(process.env.NODE_TOOLS).resolve("@cedx/akismet");
const { Blog, CheckResult, Client, Comment } = await import(pathToFileURL(path).href);

const blog = new Blog({ url: "https://blog.example.org" });
const baseUrl = process.env.REPLYGUARD_URL;
const client = new Client(process.env.AKISMET_KEY, blog, { baseUrl });
const words = { [CheckResult.ham]: "ham", [CheckResult.spam]: "spam" };

await answerLines(async (line) => {
    const comment = () => Comment.fromJson(line.comment);
    switch (line.do) {
        case "verify":
            return (await client.verifyKey()) ? "valid" : "invalid";
        case "check":
            return words[await client.checkComment(comment())] ?? "discard";
        // These two throw unless they are thanked in Akismet's very words.
        case "submit-spam":
            await client.submitSpam(comment());
            return "thanked";
        default:
            await client.submitHam(comment());
            return "thanked";
    }
});
