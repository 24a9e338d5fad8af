"""Streams a file of labelled comments through BatchCheckComments and reports what came back.

    python stream_corpus.py comments.jsonl

Each line is a JSON object with `text` and, as far as known, `label`, `author`, `email`, `url`, `ip`,
`user_agent`, `lang`, `page_title`, `page_uri`. The comments go to a site of their own, made for
the run with limits so wide that they stop nothing; the key must therefore be an administrator's,
as the one in first-site.json is. A stream that breaks is opened again and the unanswered comments
are sent again under the same request ids, so that none is counted twice.
"""

import argparse
import collections
import concurrent.futures
import json
import pathlib
import sys
import threading
import time
import uuid

import grpc

from replyguard_client import add_service_arguments, explain, find_service, stubs

# More than the service checks at once for one stream (128), so that it never waits for us.
IN_FLIGHT_MAX = 512
# How often a broken stream, or a comment that was refused for a passing reason, is tried again.
ROUNDS_MAX = 30
# Fields of the file, and what they are called in the contract. The later names are older ones.
FIELDS = {
    "text": ["text"], "author": ["author"], "email": ["email"], "url": ["url"], "ip": ["ip"],
    "user_agent": ["user_agent", "ua"], "language": ["lang"], "page_title": ["page_title", "context"],
    "page_uri": ["page_uri"],
}
PASSING_CODES = {
    grpc.StatusCode.UNAVAILABLE.value[0],
    grpc.StatusCode.RESOURCE_EXHAUSTED.value[0],
    grpc.StatusCode.DEADLINE_EXCEEDED.value[0],
}


class Row:
    """A line of the file and what became of it."""

    def __init__(self, number, line):
        data = json.loads(line)
        self.number = number
        self.label = data.get("label") or "none"
        self.fields = {}
        for field, names in FIELDS.items():
            value = next((data[name] for name in names if data.get(name)), None)
            if value:
                self.fields[field] = str(value)
        self.attempt = 0
        self.comment = None
        self.error = None
        self.send_time = None
        self.latency = None

    def request_id(self, run):
        """The same for the same comment of the same run; another once the comment is changed."""
        return str(uuid.uuid5(run, f"{self.number}/{self.attempt}"))


class Progress:
    """One line that is rewritten on a terminal, or a line a tenth in a file."""

    def __init__(self, total):
        self.total, self.start, self.shown, self.tenth = total, time.monotonic(), 0.0, 0

    def show(self, done, last=False):
        now = time.monotonic()
        if sys.stderr.isatty():
            if now - self.shown < 0.2 and not last:
                return
        elif done * 10 // self.total <= self.tenth and not last:
            return
        self.shown, self.tenth = now, done * 10 // self.total
        speed = done / max(now - self.start, 1e-9)
        end = "\n" if last or not sys.stderr.isatty() else ""
        print(f"\r{done:,} of {self.total:,} comments, {speed:,.0f} a second", end=end,
              file=sys.stderr, flush=True)


def create_site(api, channel, service):
    """A site for this run; answers with its name and the metadata of a key for it."""
    sites = api.sites_grpc.SiteServiceStub(channel)
    wide = api.sites.LimitRule(burst_count=1_000_000_000, period_ms=1)
    limits = api.sites.Limits(
        ip=wide, ip_prefix=wide, author=wide, page=wide, site=wide, identical_text=wide
    )
    policy = api.sites.SitePolicy(author_required=False, email_required=False, limits=limits)
    site = sites.CreateSite(
        api.sites.CreateSiteRequest(
            site_id=f"corpus-{uuid.uuid4().hex[:12]}",
            site=api.sites.Site(display_name="A corpus, streamed", policy=policy),
        ),
        metadata=service.metadata, timeout=10, wait_for_ready=True,
    ).site
    key = sites.CreateKey(
        api.sites.CreateKeyRequest(
            parent=site.name, display_name="stream_corpus.py",
            scopes=[api.sites.KEY_SCOPE_CHECK],
        ),
        metadata=service.metadata, timeout=10,
    )
    return site.name, [("authorization", f"Bearer {key.secret}")]


class Run:
    """One run of a corpus through the service."""

    def __init__(self, api, client, site, metadata, rows):
        self.api, self.client, self.site, self.metadata, self.rows = api, client, site, metadata, rows
        self.id = uuid.uuid4()
        self.by_id = {str(row.number): row for row in rows}
        self.progress = Progress(len(rows))
        self.counts = collections.Counter()
        self.breaks = collections.Counter()

    def pending(self):
        """The rows without a final answer."""
        return [row for row in self.rows if row.comment is None and row.error is None]

    def go(self):
        """Sends what is unanswered until nothing is, or nothing more can be done."""
        start = time.monotonic()
        for _ in range(ROUNDS_MAX):
            pending = self.pending()
            if not pending:
                break
            try:
                delay = self.stream(pending)
            except grpc.RpcError as error:
                self.breaks[error.code().name] += 1
                delay = 1.0
            if self.pending():
                time.sleep(delay)
        self.progress.show(self.counts["final"], last=True)
        return time.monotonic() - start

    def stream(self, rows):
        """Sends rows on one stream; answers with the wait before the next round."""
        window = threading.BoundedSemaphore(IN_FLIGHT_MAX)
        over = threading.Event()

        def requests():
            for row in rows:
                while not window.acquire(timeout=0.2):
                    if over.is_set():
                        return
                row.send_time = time.monotonic()
                yield self.api.comments.BatchCheckCommentsRequest(
                    correlation_id=str(row.number),
                    parent=self.site,
                    comment=self.api.comment.Comment(**row.fields),
                    request_id=row.request_id(self.id),
                )

        answered = collections.Counter()
        delay = 0.0
        try:
            for response in self.client.BatchCheckComments(
                requests(), metadata=self.metadata, wait_for_ready=True
            ):
                window.release()
                answered[response.correlation_id] += 1
                self.counts["repeated answers"] += response.repeated_request
                row = self.by_id.get(response.correlation_id)
                if row is None:
                    self.counts["foreign"] += 1
                else:
                    delay = max(delay, self.take(row, response))
            # The stream ended well, so each of its requests must have had its answer.
            self.counts["unanswered"] += sum(str(row.number) not in answered for row in rows)
        finally:
            over.set()
            self.counts["answered twice"] += sum(count > 1 for count in answered.values())
        return delay

    def take(self, row, response):
        """Notes an answer; answers with the wait that it asks for before the row is sent again."""
        row.latency = time.monotonic() - row.send_time
        if response.WhichOneof("result") == "comment":
            row.comment = response.comment
        else:
            error = response.error
            bad = {violation.field.removeprefix("comment.") for violation in error.field_violations}
            removable = bad & row.fields.keys() - {"text"}
            if removable:
                # What a site with old comments does: it sends them without the field that is bad.
                for field in removable:
                    del row.fields[field]
                row.attempt += 1
                self.counts["fields left out"] += len(removable)
                return 0.0
            if error.code in PASSING_CODES:
                self.counts[f"tried again: {error.reason}"] += 1
                return error.retry_delay.ToTimedelta().total_seconds() or 0.2
            row.error = error
        self.counts["final"] += 1
        self.progress.show(self.counts["final"])
        return 0.0

    def read_back(self):
        """Reads every checked comment again; answers with how many, and how many are not as they
        were."""

        def same(row):
            request = self.api.comments.GetCommentRequest(name=row.comment.name)
            try:
                again = self.client.GetComment(request, metadata=self.metadata, timeout=10).comment
            except grpc.RpcError:
                return False
            return again.verdict == row.comment.verdict and again.score == row.comment.score

        checked = [row for row in self.rows if row.comment is not None]
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            return len(checked), sum(not good for good in pool.map(same, checked))


def verdict_of(api, row):
    if row.comment is None:
        return "error" if row.error is not None else "unanswered"
    return api.comment.Verdict.Name(row.comment.verdict).removeprefix("VERDICT_").lower()


def report(api, run, seconds):
    """Prints what came back; answers with whether every comment has its verdict."""
    rows = run.rows
    print(f"{len(rows):,} comments in {seconds:.1f} s: {len(rows) / seconds:,.0f} a second")
    latencies = sorted(row.latency for row in rows if row.latency is not None)
    if latencies:
        p50, p99 = (latencies[int((len(latencies) - 1) * share)] * 1000 for share in (0.5, 0.99))
        print(f"from sending to answer, up to {IN_FLIGHT_MAX} at once: p50 {p50:.1f} ms, "
              f"p99 {p99:.1f} ms, longest {latencies[-1] * 1000:.1f} ms")

    verdicts = ["approve", "hold", "reject", "error", "unanswered"]
    table = collections.Counter((row.label, verdict_of(api, row)) for row in rows)
    print("\n" + f"{'label':<10}" + "".join(f"{verdict:>12}" for verdict in verdicts) + f"{'all':>12}")
    for label in sorted({row.label for row in rows}):
        cells = [table[label, verdict] for verdict in verdicts]
        print(f"{label:<10}" + "".join(f"{cell:>12,}" for cell in cells) + f"{sum(cells):>12,}")

    degraded = collections.Counter()
    for row in rows:
        for part in row.comment.degraded_parts if row.comment else ():
            degraded[part, verdict_of(api, row)] += 1
    print("\ndegraded: " + ("nothing" if not degraded else ""))
    for (part, verdict), count in sorted(degraded.items()):
        print(f"  {part:<20} {verdict:<8} {count:>8,}")
    errors = collections.Counter(row.error.reason for row in rows if row.error is not None)
    for reason, count in errors.most_common():
        print(f"error {reason}: {count:,}")
    for code, count in run.breaks.items():
        print(f"stream broken, opened again: {count} times ({code})")
    for name, count in sorted(run.counts.items()):
        if count and name.startswith(("fields left out", "repeated answers", "tried again")):
            print(f"{name}: {count:,}")

    faults = {name: run.counts[name] for name in ("unanswered", "answered twice", "foreign")}
    pending = len(run.pending())
    good = not any(faults.values()) and not pending
    print("every request answered exactly once" if good else
          f"NOT every request answered exactly once: {faults}, {pending} comments without answer")
    return good


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("file", type=pathlib.Path)
    parser.add_argument("--count-max", type=int, help="send only the first so many lines")
    parser.add_argument("--out", type=pathlib.Path, help="write one JSON line a comment")
    parser.add_argument("--read-back", action="store_true",
                        help="afterwards read every comment and compare")
    add_service_arguments(parser)
    arguments = parser.parse_args()

    lines = arguments.file.read_text(encoding="utf-8").split("\n")
    rows = [Row(number, line) for number, line in enumerate(lines, 1) if line.strip()]
    rows = rows[:arguments.count_max]
    if not rows:
        sys.exit(f"{arguments.file}: no comments")
    service = find_service(arguments)
    api = stubs()
    with grpc.insecure_channel(service.server) as channel:
        try:
            site, metadata = create_site(api, channel, service)
        except grpc.RpcError as error:
            sys.exit(explain(error))
        run = Run(api, api.comments_grpc.CommentServiceStub(channel), site, metadata, rows)
        seconds = run.go()
        good = report(api, run, seconds)
        if arguments.read_back:
            count, different = run.read_back()
            print(f"read back: {count:,}, of which {different:,} missing or different")
            good = good and different == 0
    if arguments.out:
        with arguments.out.open("w", encoding="utf-8") as out:
            for row in rows:
                answer = {"line": row.number, "label": row.label, "verdict": verdict_of(api, row)}
                if row.comment is not None:
                    answer |= {
                        "name": row.comment.name,
                        "score": row.comment.score,
                        "signals": [signal.name for signal in row.comment.signals],
                        "degraded": list(row.comment.degraded_parts),
                    }
                print(json.dumps(answer), file=out)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
