"""PyPI's `akismet` against a running replyguard.

Reads one JSON object a line, {"do": …, "comment": {…}}, and prints one word a line: what the
library returned, or that it raised. The library has no setting for the host but takes an HTTP
client, so that is where the way to replyguard is changed; all else is as its manual shows it.
"""

import json
import os
import sys

import akismet
import httpx


class ToReplyguard(httpx.HTTPTransport):
    """Sends what is for Akismet's host to REPLYGUARD_URL."""

    def __init__(self, base):
        super().__init__()
        self.base = httpx.URL(base)

    def handle_request(self, request):
        request.url = request.url.copy_with(
            scheme=self.base.scheme, host=self.base.host, port=self.base.port
        )
        request.headers["host"] = self.base.netloc.decode()
        return super().handle_request(request)


def answer(client, line):
    fields = dict(line.get("comment", {}))
    if line["do"] == "verify":
        return "valid" if client.verify_key() else "invalid"
    ip = fields.pop("user_ip")
    if line["do"] == "check":
        return client.comment_check(ip, **fields).name.lower()
    submit = client.submit_spam if line["do"] == "submit-spam" else client.submit_ham
    return "thanked" if submit(ip, **fields) else "refused"


def main():
    config = akismet.Config(key=os.environ["AKISMET_KEY"], url="https://blog.example.org")
    transport = ToReplyguard(os.environ["REPLYGUARD_URL"])
    headers = {"User-Agent": akismet.USER_AGENT}
    # The library's own time-out is a second.
    with httpx.Client(transport=transport, headers=headers, timeout=1.0) as http:
        client = akismet.SyncClient(config=config, http_client=http)
        for line in sys.stdin:
            try:
                print(answer(client, json.loads(line)), flush=True)
            except akismet.AkismetError as error:
                print("raised", flush=True)
                print(repr(error), file=sys.stderr)


main()
