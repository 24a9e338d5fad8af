"""Checks one comment and prints the verdict with its reasons.

    python check_comment.py "Great post! Cheap pills at http://pills.example" --author "Best Pills"
"""

import argparse
import sys
import uuid

import grpc

from replyguard_client import add_service_arguments, explain, find_service, stubs


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("text", help="the comment")
    parser.add_argument("--author", default="A reader")
    parser.add_argument("--email", help="(default: a fresh one at example.org, because an author "
                        "may send one comment in 15 s)")
    parser.add_argument("--url", default="")
    parser.add_argument("--ip", default="")
    parser.add_argument("--page-title", default="")
    parser.add_argument("--site", help="sites/… (default: as in first-site.json)")
    add_service_arguments(parser)
    arguments = parser.parse_args()

    service = find_service(arguments)
    site = arguments.site or service.site or sys.exit("no site: give --site")
    api = stubs()
    request = api.comments.CheckCommentRequest(
        parent=site,
        comment=api.comment.Comment(
            text=arguments.text,
            author=arguments.author,
            email=arguments.email or f"reader.{uuid.uuid4().hex[:8]}@example.org",
            url=arguments.url,
            ip=arguments.ip,
            page_title=arguments.page_title,
        ),
        # With an id of its own the call can be tried again without being counted twice.
        request_id=str(uuid.uuid4()),
    )
    with grpc.insecure_channel(service.server) as channel:
        client = api.comments_grpc.CommentServiceStub(channel)
        try:
            answer = client.CheckComment(
                request, metadata=service.metadata, timeout=10, wait_for_ready=True
            )
        except grpc.RpcError as error:
            sys.exit(explain(error))
    show(api, answer.comment)


def show(api, comment):
    """Prints a checked comment. What the author wrote goes through repr(): a terminal obeys."""
    verdict = api.comment.Verdict.Name(comment.verdict).removeprefix("VERDICT_").lower()
    score = f"{comment.score:.4f}" if comment.HasField("score") else "none"
    print(f"{verdict}  (score {score}, model {comment.model_version})")
    for reason in comment.reasons:
        print(f"  because  {reason.name}: {reason.description}")
    for signal in comment.signals:
        print(f"  signal   {signal.weight:+.2f}  {signal.name}: {signal.detail!r}")
    for part in comment.contributions[:8]:
        print(f"  weight   {part.weight:+.2f}  {part.name!r}")
    if comment.missing_inputs:
        print(f"  missing  {', '.join(comment.missing_inputs)}")
    if comment.degraded_parts:
        print(f"  degraded {', '.join(comment.degraded_parts)}")
    print(f"  public   {comment.public_comment.text!r}")
    print(f"  name     {comment.name}")


if __name__ == "__main__":
    main()
