"""Receives replyguard's decisions: a webhook's other end, with Python's standard library alone.

With `webhooks.private_targets = true` in the service's configuration:

    replyguard webhooks add http://127.0.0.1:9000/
    REPLYGUARD_WEBHOOK_SECRET=whsec_... python3 receive_decisions.py 9000
"""

import base64
import hashlib
import hmac
import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

KEY = base64.b64decode(os.environ["REPLYGUARD_WEBHOOK_SECRET"].removeprefix("whsec_"))
AGE_MAX_S = 300
BODY_BYTES_MAX = 1_000_000


def is_ours(headers, body):
    """Whether a message is signed with our secret, and not long ago."""
    delivery, sent = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not sent.isdigit() or abs(time.time() - int(sent)) > AGE_MAX_S:
        return False
    signed = f"{delivery}.{sent}.".encode() + body
    ours = "v1," + base64.b64encode(hmac.new(KEY, signed, hashlib.sha256).digest()).decode()
    theirs = headers.get("webhook-signature", "").split()
    return any(hmac.compare_digest(ours, signature) for signature in theirs)


class Receiver(BaseHTTPRequestHandler):
    # A site would keep these in its database, for a week.
    seen = set()

    def do_POST(self):
        size = int(self.headers.get("content-length", 0))
        body = self.rfile.read(min(size, BODY_BYTES_MAX))
        if not is_ours(self.headers, body):
            self.send_response(401)
            self.end_headers()
            return
        self.send_response(204)
        self.end_headers()
        delivery = self.headers["webhook-id"]
        if delivery in self.seen:
            return
        self.seen.add(delivery)
        message = json.loads(body)
        for decision in message["data"].get("decisions", []):
            print(decision["state"], decision["comment"], "by", decision["actor"], flush=True)


if __name__ == "__main__":
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 9000
    HTTPServer(("127.0.0.1", port), Receiver).serve_forever()
