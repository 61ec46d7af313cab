"""A stand-in for W&B's server on this machine: it accepts a run, and remembers what it was sent."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any


@dataclass
class Received:
    """Calls by name, runs as they were created, files by URL, and lines by the file streamed."""

    calls: list[str] = field(default_factory=list)
    runs: list[dict[str, Any]] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    lines: dict[str, list[str]] = field(default_factory=dict)
    views: list[dict[str, Any]] = field(default_factory=list)
    complete: int = 0
    # While it is, every connection breaks.
    down: bool = False


@contextmanager
def server() -> Iterator[tuple[str, Received]]:
    """Serves on a free port; gives its URL and what it received."""
    received = Received()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def parse_request(self) -> bool:
            if received.down:
                self.close_connection = True
            return not received.down and super().parse_request()

        def body(self) -> bytes:
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))

        def answer(self, content: Any) -> None:
            text = json.dumps(content).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def do_GET(self) -> None:
            self.answer({})

        def do_PUT(self) -> None:
            self.body()
            received.files.append(self.path)
            self.answer({})

        def do_POST(self) -> None:
            content = json.loads(self.body() or b"{}")
            if "/file_stream" in self.path:
                for name, chunk in (content.get("files") or {}).items():
                    received.lines.setdefault(name, []).extend(chunk["content"])
                received.complete += bool(content.get("complete"))
                self.answer({"exitcode": None, "limits": {}})
            else:
                host = f"http://{self.headers['Host']}"
                self.answer({"data": graphql(received, host, content)})

        def log_message(self, *_: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: Any) -> None:
            """A client that is done drops its connections."""

    with Server(("127.0.0.1", 0), Handler) as http:
        Thread(target=http.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{http.server_port}", received
        http.shutdown()


def graphql(received: Received, host: str, content: dict[str, Any]) -> dict[str, Any]:
    """What the calls are answered that `wandb sync`, a workspace and a report make."""
    query, variables = content["query"], content.get("variables") or {}
    name = re.findall(r"(?:query|mutation)\s+(\w+)", query)[0]
    received.calls.append(name)
    entity = {"id": "entity", "name": "someone"}
    project = {"id": "project", "name": "titans", "entity": entity}
    match name:
        case "RunResumeStatus":
            return {"model": project | {"bucket": None}}
        case "UpsertBucket":
            received.runs.append(variables)
            run = {"id": "run", "name": variables["name"], "displayName": variables["displayName"]}
            rest = {"project": project, "historyLineCount": 0, "config": "{}"}
            return {"upsertBucket": {"bucket": run | rest, "inserted": True}}
        case "ServerFeaturesQuery":
            return {"serverInfo": {"features": []}}
        case "CreateArtifact":
            # One that the server has already is not uploaded.
            artifact = {"id": "artifact", "state": "COMMITTED", "artifactSequence": {}}
            return {"createArtifact": {"artifact": artifact}}
        case "CreateRunFiles":
            files = [{"name": f, "uploadUrl": f"{host}/files/{f}"} for f in variables["files"]]
            return {"createRunFiles": {"runID": "run", "uploadHeaders": [], "files": files}}
        case "UpsertView2" | "upsertView":
            received.views.append(variables)
            kept = {key: variables[key] for key in ("name", "displayName", "description", "spec")}
            dates = {"createdAt": "2026-01-01T00:00:00", "updatedAt": "2026-01-01T00:00:00"}
            user = {"username": "someone", "name": "someone", "photoUrl": ""}
            view = {"id": "view", "project": project, "user": user} | kept | dates
            return {"upsertView": {"view": view, "inserted": True}}
        case "ProjectInternalId":
            return {"project": {"internalId": "project"}}
        case "GetProjects":
            kinds = {"__typename": "Project", "isBenchmark": False, "user": None}
            node = {"id": "project", "name": "titans", "entityName": "someone"} | kinds
            page = {"__typename": "PageInfo", "endCursor": None, "hasNextPage": False}
            edges = [{"node": node | {"createdAt": "2026-01-01T00:00:00"}}]
            return {"models": {"pageInfo": page, "edges": edges}}
        case "Viewer" | "GetDefaultEntity":
            return {"viewer": entity | {"entity": "someone", "username": "someone"}}
    raise ValueError(f"nobody answers {name}")
