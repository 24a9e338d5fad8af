"""A client of replyguard, made from the proto files alone.

`stubs()` compiles proto/replyguard/v1 into a temporary folder and imports what comes out, so that
nothing generated has to be kept. A real site would generate once and ship the result.
"""

import argparse
import atexit
import importlib
import importlib.resources
import json
import pathlib
import sys
import tempfile
from types import SimpleNamespace

import grpc
from grpc_tools import protoc

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]


def stubs(proto_dir=REPOSITORY / "proto"):
    """Compiles the contract; answers with its modules as attributes."""
    folder = tempfile.TemporaryDirectory(prefix="replyguard-stubs-")
    atexit.register(folder.cleanup)
    files = sorted(str(path) for path in pathlib.Path(proto_dir).rglob("*.proto"))
    if not files:
        sys.exit(f"no .proto file below {proto_dir}")
    # google/protobuf/timestamp.proto and the like come with grpcio-tools.
    well_known = importlib.resources.files("grpc_tools") / "_proto"
    arguments = ["protoc", f"-I{proto_dir}", f"-I{well_known}"]
    arguments += [f"--python_out={folder.name}", f"--grpc_python_out={folder.name}", *files]
    if protoc.main(arguments) != 0:
        sys.exit("the proto files do not compile")
    sys.path.insert(0, folder.name)

    def load(name):
        return importlib.import_module(f"replyguard.v1.{name}")

    return SimpleNamespace(
        comment=load("comment_pb2"),
        comments=load("comment_service_pb2"),
        comments_grpc=load("comment_service_pb2_grpc"),
        sites=load("site_service_pb2"),
        sites_grpc=load("site_service_pb2_grpc"),
    )


def add_service_arguments(parser: argparse.ArgumentParser):
    """The flags that say where the service is and with which key."""
    parser.add_argument("--first-site", type=pathlib.Path, default="data/first-site.json",
                        help="the file that the first start wrote (default: %(default)s)")
    parser.add_argument("--server", help="host:port of gRPC (default: as in that file)")
    parser.add_argument("--key", help="the API key (default: as in that file)")


def find_service(arguments) -> SimpleNamespace:
    """Server, key and site from the flags, else from first-site.json."""
    first = {}
    if arguments.first_site.exists():
        first = json.loads(arguments.first_site.read_text())
    server = arguments.server or first.get("grpc")
    key = arguments.key or first.get("key")
    if not server or not key:
        sys.exit(f"{arguments.first_site} is not there: give --server and --key, or --first-site")
    if server.startswith("https://"):
        sys.exit("these examples speak no TLS; for that, see grpc.secure_channel")
    site = first.get("site")
    return SimpleNamespace(
        server=server.removeprefix("http://"),
        site=site and f"sites/{site.removeprefix('sites/')}",
        metadata=[("authorization", f"Bearer {key}")],
    )


def explain(error: grpc.RpcError) -> str:
    """One line for people. The details name the bad fields, and never repeat their values."""
    return f"{error.code().name}: {error.details()}"
